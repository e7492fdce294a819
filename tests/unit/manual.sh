#!/bin/bash
# The manual pages are well formed and tell every option and command that the programs' --help tells, and no other
# long option. Usage: manual.sh BUILD-DIRECTORY
set -euo pipefail
build=${1:?usage: manual.sh BUILD-DIRECTORY}
cd "$(dirname "$0")/../.."

mandoc -T lint -W warning fs/man/* replica/man/*

status=0
fault() {
    echo "FAIL: $*"
    status=1
}
options() { grep -oE -- '(^|[[:space:],[])--[a-z][a-z-]+' | grep -oE -- '--[a-z-]+' | sort -u; }
text_of() { mandoc -T utf8 "$1" | sed 's/.\x08//g'; }

helps=$(for program in pactd pactfs pactctl; do "$build/$program" --help; done)
for page in replica/man/pactd.8 fs/man/pactfs.8 fs/man/pactctl.1; do
    text=$(text_of "$page")
    while read -r option; do
        grep -qF -- "$option" <<<"$text" || fault "$page does not tell $option"
    done < <("$build/$(basename "${page%.*}")" --help | options)
    while read -r option; do
        grep -qF -- "$option" <<<"$helps" || fault "$page tells $option, which no --help knows"
    done < <(options <<<"$text")
done
# pactctl's commands, and the mount's -o options
while read -r command; do
    grep -qE "^ +$command( |$)" < <(text_of fs/man/pactctl.1) ||
        fault "pactctl.1 does not tell the command $command"
done < <("$build/pactctl" --help | sed -nE 's/^  ([a-z]+) .*/\1/p')
while read -r option; do
    "$build/pactfs" --help | grep -qw -- "$option" || fault "pactfs --help does not tell -o $option"
done < <(text_of fs/man/pactfs.8 | sed -nE 's/^ +-o ([a-z_]+).*/\1/p')
((status)) || echo "manual: three pages agree with --help"
exit $status
