/*
 * Where vxn-launch and vxn-standin are installed. An object file of its own, so
 * that a test can link another directory in its place.
 */
#include "launch.h"

const char launch_directory[] = VXN_LIBEXECDIR;
