#include "filesem.h"
int exec_helper(int argc, char **argv) { (void)argc; (void)argv; return 1; }
