/* assert.h - checks for programmer errors. Never compiled out: a wrong coordinator must stop. */
#ifndef SHERD_COORD_ASSERT_H
#define SHERD_COORD_ASSERT_H

_Noreturn void sherd_assert_failed(const char *what, const char *file, int line);

#define SHERD_ASSERT(x) ((x) ? (void)0 : sherd_assert_failed(#x, __FILE__, __LINE__))

#endif
