#!/bin/bash
# Who may know whom: each directory may include only what the table below grants it. README, "Reading order", says
# why. The test first shows that it fails on planted violations, then judges the tree.
# shellcheck disable=SC2016  # the planted files' contents are meant literally
set -euo pipefail
cd "$(dirname "$0")/../.."

# directory | what it may include of the project (prefixes or whole files)
rules='
proto              | proto/ replica/state/request.h replica/zab/zab.h pact.pb-c.h
replica/zab        | replica/zab/ proto/limits.h proto/errors.h
replica/state      | replica/state/ proto/limits.h proto/errors.h
replica/store      | replica/store/ proto/ replica/state/request.h
replica/net        | replica/net/ proto/ replica/state/request.h
replica/pactd      | replica/ proto/
replica/main       | replica/ proto/
fs/client          | fs/client/ proto/ replica/state/ replica/net/
fs/mount           | fs/mount/ fs/client/ proto/ replica/state/ replica/net/
fs/pactfs          | fs/ proto/ replica/state/ replica/net/ replica/pactd/embedded.h
fs/pactctl         | fs/pactctl/ fs/client/ proto/ replica/state/ replica/net/ replica/pactd/embedded.h
'
# The system headers of the pure directories: types and memory, nothing that reaches outside.
pure='replica/zab replica/state fs/client/learner'
pure_headers='assert.h endian.h errno.h inttypes.h limits.h stdarg.h stdatomic.h stdbool.h stddef.h stdint.h stdio.h stdlib.h string.h uthash.h xxhash.h'


includes_of() { # TREE DIRECTORY EXPRESSION
    local file
    for file in "$1/$2"/*.[ch]; do
        [[ -e $file ]] || continue
        sed -nE "s,^[[:space:]]*#[[:space:]]*include[[:space:]]+$3.*,${file#"$1"/} \\1,p" "$file"
    done
}

granted() { # HEADER GRANT...
    local header=$1 grant
    shift
    for grant; do
        case $grant in
        */) [[ $header == "$grant"* ]] && return 0 ;;
        *) [[ $header == "$grant" ]] && return 0 ;;
        esac
    done
    return 1
}

# Prints each violation of TREE.
violations() {
    local tree=$1 directory grants file header where
    while IFS='|' read -r directory grants; do
        directory=${directory// /}
        [[ -n $directory ]] || continue
        while read -r file header; do
            # shellcheck disable=SC2086
            granted "$header" $grants || echo "$file includes $header: $directory may not know it"
            if [[ $header == *.pb-c.h && $file != proto/codec* ]]; then
                echo "$file includes $header: only proto/codec*.c may"
            fi
        done < <(includes_of "$tree" "$directory" '"([^"]+)"')
    done <<<"$rules"
    for where in $pure; do
        directory=$where
        [[ -d $tree/$where ]] || directory=$(dirname "$where")
        while read -r file header; do
            [[ $file == "$where"* ]] || continue
            # shellcheck disable=SC2086
            granted "$header" $pure_headers || echo "$file includes <$header>: it is pure"
        done < <(includes_of "$tree" "$directory" '<([^>]+)>')
    done
    # A directory of sources that no rule covers would escape.
    while read -r directory; do
        grep -qE "^${directory//\//\\/} +\|" <<<"$rules" || echo "$directory: no rule covers this directory"
    done < <(cd "$tree" && find proto replica fs -name '*.[ch]' -printf '%h\n' | sort -u)
}

planted=$(mktemp -d)
trap 'rm -rf "$planted"' EXIT

# plant FILE LINE WORD: a tree with only this violation must be refused, naming the file and WORD
plant() {
    rm -rf "${planted:?}"/*
    mkdir -p "$planted"/{proto,replica,fs} "$planted/$(dirname "$1")"
    echo "$2" >"$planted/$1"
    local found
    found=$(violations "$planted")
    if [[ $found != *"$1"*"$3"* ]]; then
        echo "FAIL: planted '$2' in $1 and it was not found"
        exit 1
    fi
}

plant replica/state/tree.c '#include "proto/codec.h"' proto/codec.h
plant replica/state/tree.c '  #  include <time.h>' time.h
plant replica/zab/vote.h '#include "replica/state/state.h"' replica/state/state.h
plant fs/client/learner.c '#include <pthread.h>' pthread.h
plant fs/client/client.c '#include "replica/store/store.h"' replica/store/store.h
plant fs/mount/ops.c '#include "replica/pactd/embedded.h"' embedded.h
plant fs/mount/ops.c '#include "pact.pb-c.h"' pact.pb-c.h
plant replica/store/log.c '#include "replica/state/state.h"' replica/state/state.h
plant proto/limits.h '#include "fs/client/client.h"' fs/client/client.h
mkdir -p "$planted/fs/new" && echo '#include <stdio.h>' >"$planted/fs/new/a.c"
[[ $(violations "$planted") == *"fs/new: no rule"* ]] || { echo "FAIL: a directory without a rule was not found"; exit 1; }
rm -rf "${planted:?}"/*
mkdir -p "$planted"/{proto,replica/state,fs}
printf '#include "replica/state/state.h"\n#include "proto/errors.h"\n#include <string.h>\n' >"$planted/replica/state/tree.c"
[[ -z $(violations "$planted") ]] || { echo "FAIL: what is allowed was refused: $(violations "$planted")"; exit 1; }

found=$(violations .)
if [[ -n $found ]]; then
    echo "$found"
    exit 1
fi
echo "layers: ten planted violations found; $(find proto replica fs -name '*.[ch]' | wc -l) files keep the rule"
