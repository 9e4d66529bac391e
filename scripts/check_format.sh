#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Names each C++ file that is not as clang-format writes it. scripts/check_format.sh --fix [FILE...] makes it so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fix=no
if [[ ${1:-} == --fix ]]; then
  fix=yes
  shift
fi
if (($#)); then
  files=("$@")
else
  mapfile -t files < <(find src include tools examples bench tests -type f \( -name '*.h' -o -name '*.cc' \) | sort)
fi
if [[ $fix == yes ]]; then
  exec clang-format-14 -i "${files[@]}"
fi
check() {
  clang-format-14 --dry-run -Werror "$1" >/dev/null 2>&1 || printf '%s: not as clang-format-14 writes it\n' "$1"
}
export -f check
different=$(printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$(nproc)" bash -c 'check "$1"' check)
[[ -z $different ]] || { printf '%s\nscripts/check_format.sh --fix FILE... formats them\n' "$different"; exit 1; }
