#!/bin/sh
# Build the compiled modules with a sanitizer in build/sanitize and run tests of memory safety or of
# races under it. Usage: tools/sanitize.sh address|thread PYTHON [tests...]
set -eu
kind=$1 python=$2
shift 2
tree=build/sanitize/$kind
mkdir -p "$tree"
case $kind in
    address)
        flags="-fsanitize=address,undefined -fno-sanitize=alignment" library=libasan.so ;;
    thread)  # the lock-free structures, and the threads that hammer them
        flags="-fsanitize=thread -Wno-tsan" library=libtsan.so
        VOLANS_ONLY=src/volans/memory,src/volans/log,src/volans/protocol,src/volans/agents
        VOLANS_ONLY=$VOLANS_ONLY,src/volans/testing/l,src/volans/testing/queue
        export VOLANS_ONLY ;;
    *) echo "sanitize: $kind is neither address nor thread" >&2; exit 2 ;;
esac
compiler=$(printf '%s' "${CC:-gcc}" | awk '{print $NF}')
library=$("$compiler" -print-file-name="$library")
if [ ! -e "$library" ]; then
    echo "sanitize: $compiler has no $kind sanitizer library; with gcc on Debian: apt install libasan8 libtsan2 libubsan1" >&2
    exit 1
fi
preload=$library
[ "$kind" = address ] && preload="$library:$("$compiler" -print-file-name=libubsan.so)"

echo "sanitize: compiling for $kind into $tree"
VOLANS_CYTHON_BUILD_DIR=build/sanitize/cython VOLANS_CFLAGS="-O1 -g -fno-omit-frame-pointer $flags" \
    LDFLAGS="$flags" "$python" setup.py -q build --build-base "$tree/temp" --build-lib "$tree/lib" >"$tree/build.log" 2>&1 ||
    { tail -n 20 "$tree/build.log" >&2; exit 1; }

# The interpreter is not instrumented: its own leaks at exit and its allocator are not our subject.
export PYTHONMALLOC=malloc PYTHONPATH="$tree/lib"
export ASAN_OPTIONS="detect_leaks=0:abort_on_error=0:halt_on_error=1:allocator_may_return_null=1"
export UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1"
export TSAN_OPTIONS="halt_on_error=0:exitcode=66:report_signal_unsafe=0:ignore_noninstrumented_modules=1:suppressions=$PWD/tools/tsan-suppressions.txt"
# Thread sanitizer wants its shadow memory where address randomisation may put something else.
exec setarch -R env LD_PRELOAD="$preload" "$python" -m pytest -q -p no:cacheprovider -p no:xdist \
    -o "pythonpath=$tree/lib ." --timeout=0 "$@"
