/*
 * System calls without a C library, for the stand-in: there is one for every
 * process of every container, and the start of a C library alone would touch ten
 * times the memory that its work needs. Results are the kernel's: a negative
 * errno on failure.
 */
#ifndef VXN_RAW_SYSCALL_H
#define VXN_RAW_SYSCALL_H

#include <sys/syscall.h>

#if defined(__x86_64__)

static inline long raw_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

/* The kernel enters with argc and argv on the stack, and no return address. */
#define RAW_ENTRY(function)                \
	__asm__(".globl _start\n_start:\n" \
		"	xor %ebp, %ebp\n"        \
		"	mov (%rsp), %rdi\n"      \
		"	lea 8(%rsp), %rsi\n"     \
		"	and $-16, %rsp\n"        \
		"	call " #function "\n")

#elif defined(__aarch64__)

static inline long raw_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}

#define RAW_ENTRY(function)                \
	__asm__(".globl _start\n_start:\n" \
		"	mov x29, #0\n"           \
		"	ldr x0, [sp]\n"          \
		"	add x1, sp, #8\n"        \
		"	bl " #function "\n")

#else
/* cppcheck-suppress preprocessorErrorDirective */
#error "the stand-in knows the system calls of x86_64 and aarch64 only"
#endif

#endif
