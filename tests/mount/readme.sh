#!/bin/bash
# README.md is true: every command in its console blocks is run, in order, and prints what README says it prints.
# "…" in README stands for anything. All of it happens in namespaces of its own: mounts, processes, network.
set -euo pipefail
: "${PACT_BIN:?where the programs are}"
if [[ -z ${README_INSIDE:-} ]]; then
    README_INSIDE=1 exec unshare --mount --propagation private --net --pid --fork --kill-child --mount-proc "$0"
fi
cd "$(dirname "$0")/../.."
scratch=$(mktemp -d)
trap 'cd / && rm -rf "$scratch"' EXIT
for directory in /mnt /var/lib; do
    mount -t tmpfs none "$directory"
done
cp -a /etc "$scratch/etc" # as it is, but for what this page makes
rm -rf "$scratch/etc/pactfs"
mount --bind "$scratch/etc" /etc
ip link set lo up
for host in 1 2 3; do # the hosts of the ensemble
    ip address add "10.0.0.$host/32" dev lo
done
mkdir -p /var/lib/pactfs /mnt/pact /mnt/other
export PATH=$PACT_BIN:$PWD:$PATH LC_ALL=C
set +eu

# wanted PATTERN-TEXT: whether the last output is that, with "…" for anything
matches() {
    local pattern=${1//\\/\\\\}
    pattern=${pattern//[*]/\\*} pattern=${pattern//[?]/\\?} pattern=${pattern//[[]/\\[}
    # shellcheck disable=SC2053  # it is a pattern
    [[ $(<"$scratch/output") == ${pattern//…/*} ]]
}

commands=0
# check COMMAND EXPECTED: in this very shell, so that jobs and variables last as they do for a reader
check() {
    commands=$((commands + 1))
    eval "$1" >"$scratch/output" 2>&1 </dev/null
    disown -a # what a shell says of a job that was killed is not in README
    matches "$2" && return
    printf 'FAIL: README.md says\n$ %s\n%s\nand it printed\n%s\n' "$1" "$2" "$(<"$scratch/output")"
    exit 1
}

command='' expected='' inside=''
while IFS= read -r line; do
    case $inside$line in
    '```console') inside=x ;;
    'x```' | 'x$ '*)
        [[ -z $command ]] || check "$command" "${expected%$'\n'}"
        command='' expected=''
        if [[ $line == '```' ]]; then inside=''; else command=${line#'$ '}; fi
        ;;
    x*) expected+=$line$'\n' ;;
    esac
done <README.md

((commands >= 10)) || { echo "FAIL: only $commands commands were found in README.md" && exit 1; }
# What README names is there.
# shellcheck disable=SC2016  # backquotes are meant
while read -r path; do
    [[ -e $path ]] || { echo "FAIL: README.md names $path, which is not there" && exit 1; }
done < <(grep -oE '`(proto|replica|fs|tests|examples)/[A-Za-z0-9_./-]+`' README.md | tr -d '`' | sort -u)
echo "readme: $commands commands print what README.md says"
