#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Names each C++ file that is not as clang-format writes it. scripts/check_format.sh --fix [FILE...] makes it so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v clang-format-14 >/dev/null || { echo "clang-format-14 is not installed: ./dev setup"; exit 1; }
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
# One process for many files: starting it takes longer than a file does. What it says of a file starts with its name.
different=$(printf '%s\0' "${files[@]}" | xargs -0 -n 24 -P "$(nproc)" clang-format-14 --dry-run -Werror 2>&1 |
  sed -n 's/^\([^ :]*\):[0-9]*:[0-9]*: error: .*/\1: not as clang-format-14 writes it/p' | sort -u) || true
[[ -z $different ]] || { printf '%s\nscripts/check_format.sh --fix FILE... formats them\n' "$different"; exit 1; }
