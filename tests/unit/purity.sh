#!/bin/bash
# The pure libraries touch nothing outside: nm finds nothing undefined in them but memory and string functions and
# each other. First the test shows that it fails on planted calls of clocks, files, sockets and threads.
# Usage: purity.sh BUILD-DIRECTORY
set -euo pipefail
build=${1:?usage: purity.sh BUILD-DIRECTORY}

# libc: memory and strings, formatting into memory, and abort.
allowed='^(mem(cpy|move|set|cmp|chr|rchr|mem|pcpy)|str(len|nlen|cmp|ncmp|chr|rchr|chrnul|str|spn|cspn|cpy|ncpy|pcpy|dup|ndup|tol|toll|toul|toull)|bcmp|malloc|calloc|realloc|reallocarray|free|posix_memalign|aligned_alloc|qsort|bsearch|abort|v?snprintf|__assert_fail|__errno_location)$'
# What compilers add: fortified twins of the above, stack protection, sanitizers, coverage.
added='^(_GLOBAL_OFFSET_TABLE_|__stack_chk_fail|__(mem(cpy|move|set|pcpy)|str(cpy|ncpy|cat)|v?snprintf)_chk|__isoc(99|23)_(sscanf|strto[a-z]+)|__(asan|ubsan|tsan|lsan|sanitizer|sancov|gcov)_.*|__start___sancov.*|__stop___sancov.*|__llvm_.*)$'

# outside LIBRARY...: what they need that is neither allowed nor defined in one of them
outside() {
    local defined
    defined=$(nm --defined-only --extern-only "$@" | awk 'NF == 3 { print $3 }' | sort -u)
    nm --undefined-only "$@" | awk '$1 == "U" || $1 == "w" { print $2 }' | sort -u |
        grep -Ev "$allowed" | grep -Ev "$added" | comm -23 - <(echo "$defined") || true
}

planted=$(mktemp -d)
trap 'rm -rf "$planted"' EXIT
# plant SYMBOL C-SOURCE: a library that calls SYMBOL must be refused
plant() {
    echo "$2" >"$planted/a.c"
    "${CC:-cc}" -c -w -o "$planted/a.o" "$planted/a.c"
    rm -f "$planted/liba.a" && ar rc "$planted/liba.a" "$planted/a.o"
    [[ $(outside "$planted/liba.a") == "$1" ]] || { echo "FAIL: a planted call of $1 was not found"; exit 1; }
}
plant time '#include <time.h>
long f(void) { return time(0); }'
plant open '#include <fcntl.h>
int f(void) { return open("/etc/passwd", O_RDONLY); }'
plant send '#include <sys/socket.h>
long f(void) { return send(0, "", 1, 0); }'
plant rand '#include <stdlib.h>
int f(void) { return rand(); }'
plant pthread_mutex_lock '#include <pthread.h>
int f(pthread_mutex_t *m) { return pthread_mutex_lock(m); }'
plant getenv '#include <stdlib.h>
#include <string.h>
unsigned long f(void) { return strlen(getenv("TZ")); }'

libraries=()
for library in "$build"/libpact_{state,zab,learner,errors}.a; do
    [[ -e $library ]] && libraries+=("$library")
done
for needed in state learner errors; do
    [[ " ${libraries[*]} " == *"libpact_$needed.a "* ]] || { echo "FAIL: $build/libpact_$needed.a is missing"; exit 1; }
done
found=$(outside "${libraries[@]}")
if [[ -n $found ]]; then
    for symbol in $found; do
        echo "FAIL: $symbol is used by: $(nm -A --undefined-only "${libraries[@]}" | awk -v s="$symbol" '$NF == s { print $1 }' | sed 's,.*/,,' | sort -u | paste -sd' ')"
    done
    exit 1
fi
echo "purity: six planted calls found; ${#libraries[@]} pure libraries touch nothing outside"
