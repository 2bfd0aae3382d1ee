// For programs that end with 1 after the first thing that is not as it must be.
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition) ((condition) ? (void)0 : check_failed(__LINE__, #condition))

_Noreturn static inline void check_failed(int line, const char *condition) {
  fprintf(stderr, "line %d: %s (errno %d: %s)\n", line, condition, errno, strerror(errno));
  exit(1);
}
