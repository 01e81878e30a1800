/*
 * podman makes exit codes 126 and 127 out of words in a runtime's message. Those
 * words are right when the guest says them about the container's program, and
 * wrong about our own files: "No such file or directory" of a missing kernel
 * would be told to the user as a missing command.
 */
#ifndef VXN_ENGINE_WORDS_H
#define VXN_ENGINE_WORDS_H

#include "error.h"

/* Replaces those words by others of the same meaning. Always returns -1. */
int engine_words_avoid(struct error *err);

#endif
