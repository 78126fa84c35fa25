#!/usr/bin/env bash
# Makes a linker for aarch64-linux-android without the NDK, in a folder that is given: Debian's clang and lld, empty
# libraries that list the names of Android's own, and LLVM's unwinder compiled from the sources in the ziglang package.
# It shows that the library links, with which names and alignment; what ships is better linked with the NDK.
#   scripts/android-toolchain.sh FOLDER      then use FOLDER/linker
set -euo pipefail
out=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")/.."
version=4 # raised when this script changes what it makes
[ "$(cat "$out/version" 2>/dev/null)" = $version ] && exit 0
api=24
target=aarch64-linux-android$api
packages=()
command -v clang-22 >/dev/null || packages+=(clang-22)
command -v ld.lld-22 >/dev/null || packages+=(lld-22)
command -v llvm-ar-22 >/dev/null || packages+=(llvm-22)
python3 -m pip --version >/dev/null 2>&1 || packages+=(python3-pip)
command -v unzip >/dev/null || packages+=(unzip)
if [ ${#packages[@]} -gt 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

# Names that the system's libraries have in Android 7.0 (API 24), as far as this library needs them. A name that is missing
# here stops the link; before it is added, look it up in bionic's libc.map.txt, libm.map.txt, libdl.map.txt.
declare -A names=(
    [libc]="__errno __cxa_atexit __cxa_finalize __memcpy_chk __stack_chk_fail __register_atfork abort accept access bind
        calloc chmod clock_gettime clock_nanosleep close closedir connect dirfd dl_iterate_phdr environ execvp exit _exit fchmod fcntl
        fdatasync fflush flock fopen fprintf free fputc freeaddrinfo fstat fstat64 fstatat fsync ftruncate ftruncate64 fwrite gai_strerror
        getaddrinfo getauxval getcwd getenv geteuid getpeername getpid getppid getpwuid_r getsockname getsockopt gettid getuid
        gnu_get_libc_version ioctl isatty kill link linkat listen lseek lseek64 lstat lstat64 madvise malloc memchr memcmp
        memcpy memmove memrchr memset mkdir mmap mmap64 mprotect msync munmap nanosleep open open64 openat opendir pause
        pipe pipe2 poll posix_memalign pread pread64 prctl pthread_attr_destroy pthread_attr_getstack
        pthread_attr_init pthread_attr_setstacksize pthread_cond_broadcast pthread_cond_destroy pthread_cond_init
        pthread_cond_signal pthread_cond_timedwait pthread_cond_wait pthread_condattr_destroy pthread_condattr_init
        pthread_condattr_setclock pthread_create pthread_detach pthread_getattr_np pthread_getspecific pthread_join
        pthread_key_create pthread_key_delete pthread_mutex_destroy pthread_mutex_init pthread_mutex_lock
        pthread_mutex_trylock pthread_mutex_unlock pthread_mutexattr_destroy pthread_mutexattr_init
        pthread_mutexattr_settype pthread_once pthread_rwlock_rdlock pthread_rwlock_unlock pthread_rwlock_wrlock
        pthread_self pthread_setname_np pthread_setspecific pthread_sigmask pwrite pwrite64 raise read readdir readdir64
        readdir64_r readdir_r readlink readv realloc realpath recv recvfrom rename rmdir sched_getaffinity sched_yield send
        sendfile sendto setenv setsockopt shutdown sigaction sigaddset sigaltstack sigemptyset signal snprintf socket
        socketpair stat stat64 stpcpy strchr strcmp strdup strerror_r __gnu_strerror_r strlen strncmp strrchr strtol
        symlink sysconf syscall times uname unlink unlinkat unsetenv usleep utimensat vfprintf vsnprintf waitpid write
        writev __system_property_get android_set_abort_message"
    [libm]="acos acosf asin asinf atan atan2 atan2f atanf cbrt cbrtf ceil ceilf cos cosf cosh coshf exp exp2 exp2f expf expm1
        expm1f fdim fdimf floor floorf fma fmaf fmax fmaxf fmin fminf fmod fmodf frexp hypot hypotf ldexp log log10 log10f
        log1p log1pf log2 log2f logf lrint modf nearbyint pow powf remainder rint rintf round roundf scalbn sin sincos
        sincosf sinf sinh sinhf sqrt sqrtf tan tanf tanh tanhf tgamma trunc truncf"
    [libdl]="dlopen dlsym dlclose dlerror dladdr"
    [liblog]="__android_log_write __android_log_print"
    [libjnigraphics]="AndroidBitmap_getInfo AndroidBitmap_lockPixels AndroidBitmap_unlockPixels"
)
stubs=$out/stubs
mkdir -p "$stubs"
echo 'LIBC { global: *; };' >"$stubs/libc.map"
for library in "${!names[@]}"; do
    {
        echo .text
        for name in ${names[$library]}; do
            printf '.globl %s\n.type %s,@function\n%s: nop\nnop\n.size %s,8\n' "$name" "$name" "$name" "$name"
        done
        if [ "$library" = libc ]; then
            printf '.data\n'
            for name in stderr stdout stdin; do
                printf '.globl %s\n.type %s,@object\n%s: .quad 0\n.size %s,8\n' "$name" "$name" "$name" "$name"
            done
        fi
    } >"$stubs/$library.s"
    versions=()
    case $library in libc | libm | libdl) versions=("-Wl,--version-script=$stubs/libc.map") ;; esac
    clang-22 --target=$target -fuse-ld=lld -nostdlib -shared "-Wl,-soname,$library.so" "${versions[@]}" \
        "$stubs/$library.s" -o "$stubs/$library.so"
done

# The unwinder, which the NDK has and Debian has not.
wheels=$out/wheels
mkdir -p "$wheels"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: -d "$wheels" ziglang==0.17.1
unzip -q -o "$wheels"/ziglang-*.whl 'ziglang/lib/libunwind/*' 'ziglang/lib/libc/include/*' 'ziglang/lib/include/*' -d "$out/zig"
zig=$out/zig/ziglang/lib
flags=(--target=$target -nostdlibinc -O2 -fPIC -DNDEBUG -D_LIBUNWIND_IS_NATIVE_ONLY -D_LIBUNWIND_HIDE_SYMBOLS
    -D__errno_location=__errno -fvisibility=hidden -funwind-tables -I "$zig/libunwind/include")
for include in aarch64-linux-musl generic-musl aarch64-linux-any any-linux-any; do
    flags+=(-isystem "$zig/libc/include/$include")
done
objects=()
for source in UnwindLevel1.c UnwindLevel1-gcc-ext.c UnwindRegistersRestore.S UnwindRegistersSave.S libunwind.cpp; do
    extra=()
    case $source in
        *.cpp) extra=(-std=c++17 -fno-exceptions -fno-rtti) ;;
        *.c) extra=(-std=c17 -fexceptions) ;;
    esac
    clang-22 "${flags[@]}" "${extra[@]}" -c "$zig/libunwind/src/$source" -o "$out/$source.o"
    objects+=("$out/$source.o")
done
rm -f "$stubs/libunwind.a"
llvm-ar-22 rcs "$stubs/libunwind.a" "${objects[@]}"

cat >"$out/linker" <<EOF
#!/bin/sh
exec clang-22 --target=$target -fuse-ld=lld -nostartfiles -nostdlib -L"$stubs" -Wl,--no-undefined \\
    -Wl,-z,max-page-size=16384 "\$@"
EOF
chmod +x "$out/linker"
rm -rf "$wheels" "$out/zig"
echo $version >"$out/version"
