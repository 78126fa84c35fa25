/* Hides instruction sets from a whole process, rivals included, so that they meet on equal ground:
 *   cc -O2 -shared -fPIC -o hide.so hide_cpu.c;  HIDE=amx,avx512 LD_PRELOAD=hide.so PROGRAM
 * Linux on x86-64 with CPUID faulting: every CPUID traps, is answered here, and comes back without their bits. */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <cpuid.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

static unsigned hidden_b, hidden_c, hidden_d, hidden_a1;

static long faulting(int on) { return syscall(SYS_arch_prctl, ARCH_SET_CPUID, on ? 0UL : 1UL); }

static void answer(int signal_number, siginfo_t *info, void *context) {
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *at = (const unsigned char *)r[REG_RIP];
    (void)info;
    if (at[0] != 0x0f || at[1] != 0xa2) { /* A fault of the program's own: let it end as it would. */
        signal(signal_number, SIG_DFL);
        return;
    }
    unsigned leaf = (unsigned)r[REG_RAX], part = (unsigned)r[REG_RCX], a, b, c, d;
    faulting(0);
    __cpuid_count(leaf, part, a, b, c, d);
    faulting(1);
    if (leaf == 7 && part == 0) b &= ~hidden_b, c &= ~hidden_c, d &= ~hidden_d;
    if (leaf == 7 && part == 1) a &= ~hidden_a1;
    r[REG_RAX] = a, r[REG_RBX] = b, r[REG_RCX] = c, r[REG_RDX] = d;
    r[REG_RIP] += 2;
}

__attribute__((constructor)) static void begin(void) {
    const char *hide = getenv("HIDE");
    if (!hide || !*hide) return;
    if (strstr(hide, "amx")) {
        hidden_d |= 1u << 22 | 1u << 24 | 1u << 25; /* BF16, TILE, INT8 */
        hidden_a1 |= 1u << 21;                      /* FP16 */
    }
    if (strstr(hide, "avx512")) {
        hidden_b |= 1u << 16 | 1u << 17 | 1u << 21 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 30 | 1u << 31;
        hidden_c |= 1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14; /* VBMI, VBMI2, VNNI, BITALG, POPCNT */
        hidden_d |= 1u << 2 | 1u << 3 | 1u << 8 | 1u << 23;
        hidden_a1 |= 1u << 5; /* BF16 */
    }
    struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    if (sigaction(SIGSEGV, &action, NULL) || faulting(1)) {
        fputs("hide_cpu: this kernel or processor does not let CPUID be hidden\n", stderr);
        exit(1);
    }
}
