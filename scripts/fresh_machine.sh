#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Proves that the project needs nothing but a bare Debian 12 with git:
#   scripts/fresh_machine.sh DIR [COMMAND...]
# makes a minimal Debian 12 in the new folder DIR (debootstrap; a few GiB once all is built), clones the committed tree
# into it and runs each COMMAND there from the clone, "./dev demo" and "./dev test" unless told otherwise.
# Needs root. The packages come from where the host's apt takes Debian's. Mounts and processes live in namespaces of
# their own and go with the script; the folder stays, for a look, and may simply be removed.
set -euo pipefail

die() { printf 'fresh_machine: %s\n' "$*" >&2; exit 1; }

(($# >= 1)) || die "usage: scripts/fresh_machine.sh DIR [COMMAND...]"
[[ $EUID -eq 0 ]] || die "debootstrap and chroot need root"
for program in debootstrap unshare git apt-get; do
  command -v "$program" >/dev/null || die "$program is not installed"
done

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dir=$(realpath -m "$1")
shift
commands=("$@")
((${#commands[@]})) || commands=("./dev demo" "./dev test")
[[ ! -e $dir || -z $(ls -A "$dir") ]] || die "$dir is not empty"

# The host's sources of Debian itself, as one-line entries; other archives that it may use stay out.
debian_sources() {
  apt-get indextargets --format "\$(ORIGIN)|deb \$(REPO_URI) \$(RELEASE) \$(COMPONENT)" 'Created-By: Packages' |
    sed -n 's/^Debian|//p' | grep ' bookworm' | sort -u
}
# How the host reaches them: proxies, certificates, tolerance of old mirrors.
apt_settings() { apt-config dump | grep -E '^Acquire::(http|https)::|^Acquire::Check-(Date|Valid-Until) ' || true; }

sources=$(debian_sources || true)
mirror=$(awk '$3 == "bookworm" {print $2; exit}' <<<"$sources")

started=$SECONDS
echo "== making a minimal Debian 12"
mkdir -p "$dir"
log="$dir.log"
debootstrap --variant=minbase --include=git,ca-certificates bookworm "$dir" ${mirror:+"$mirror"} >"$log" 2>&1 ||
  { tail -n 20 "$log" >&2; die "debootstrap failed"; }
if [[ -n $sources ]]; then
  rm -f "$dir"/etc/apt/sources.list.d/*
  printf '%s\n' "$sources" >"$dir/etc/apt/sources.list"
fi
apt_settings >"$dir/etc/apt/apt.conf.d/90host"
cp /etc/resolv.conf "$dir/etc/resolv.conf"
cp /etc/hosts "$dir/etc/hosts"
if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
  cp /usr/local/share/ca-certificates/*.crt "$dir/usr/local/share/ca-certificates/"
  chroot "$dir" update-ca-certificates >>"$log" 2>&1
fi
git clone --quiet "file://$root" "$dir/srv/penstock"
summary=("$(printf '%5d s  %s' $((SECONDS - started)) "a minimal Debian 12, $(chroot "$dir" dpkg-query -W | wc -l) packages, and a clone of $(git -C "$root" rev-parse --short HEAD)")")

# Runs one command in the folder as a machine of its own would: fresh environment, own mounts and processes.
inside() {
  unshare --mount --pid --ipc --uts --fork --kill-child --propagation private bash -ec '
    mount -t proc proc "$1/proc"
    mount -t sysfs -o ro sysfs "$1/sys"
    mount --bind /dev "$1/dev"
    mount -t devpts -o ptmxmode=0666 devpts "$1/dev/pts"
    mount -t tmpfs tmpfs "$1/dev/shm"
    mount -t tmpfs tmpfs "$1/run"
    exec chroot "$1" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
      ${TERM:+TERM="$TERM"} ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
      bash -c "cd /srv/penstock && $2"
  ' bash "$dir" "$1" </dev/null
}

failed=0
for command in "${commands[@]}"; do
  echo "== $command"
  began=$SECONDS
  status=0
  inside "$command" 2>&1 | tee "$dir.out" || status=${PIPESTATUS[0]}
  ((status == 0)) || failed=1
  summary+=("$(printf '%5d s  %s: exit status %d; its last line: %s' $((SECONDS - began)) "$command" "$status" "$(tail -n 1 "$dir.out")")")
done

echo "== summary"
printf '%s\n' "${summary[@]}"
exit "$failed"
