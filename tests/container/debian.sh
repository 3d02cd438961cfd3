#!/usr/bin/env bash
# Follows the README's block for Debian, command by command, in a root of Debian 12 with nothing else in it, and asks for the first picture.
#   tests/container/debian.sh [FOLDER]
# Needs Linux, root, debootstrap and git, 6 GB below FOLDER (a temporary one if none is named) and about ten minutes. Where rustup's site is out of
# reach, the toolchain of this machine takes its place in the root, and a line says so. Exits with 1 when a command fails or no picture comes.
set -euo pipefail
cd "$(dirname "$0")/../.."
fail() { echo "debian: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "must be run as root, which chroot and mounts need"
for program in debootstrap git rustc curl; do command -v "$program" >/dev/null || fail "please install: $program"; done

folder=${1:-$(mktemp -d)}
mkdir -p "$folder"
folder=$(realpath "$folder")
root=$folder/root
server=
cleanup() {
  if [ -n "$server" ]; then
    kill -- "-$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  if mountpoint -q "$root/proc"; then umount "$root/proc"; fi
  # Nothing of this machine may be mounted below what is removed.
  if grep -q " $root/" /proc/self/mounts; then fail "$root is still in use: unmount what is below it, and remove it"; fi
  rm -rf --one-file-system "$root"
}
trap cleanup EXIT
cleanup

debootstrap --variant=minbase --include=ca-certificates,sudo bookworm "$root" > "$folder/debootstrap.log"
cp /etc/resolv.conf "$root/etc/"
# Authorities that this machine trusts beside Debian's.
cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/" 2>/dev/null || true
chroot "$root" update-ca-certificates > /dev/null 2>&1
mount -t proc proc "$root/proc"
# Devices of its own: those of this machine are none of its business.
for device in "null 1 3" "zero 1 5" "full 1 7" "random 1 8" "urandom 1 9" "tty 5 0"; do
  read -r name major minor <<< "$device"
  [ -e "$root/dev/$name" ] || mknod -m 666 "$root/dev/$name" c "$major" "$minor"
done
ln -sfn /proc/self/fd "$root/dev/fd"
mkdir -p "$root/root/safelight"
git archive HEAD | tar -x -C "$root/root/safelight"

# The commands between the fences that follow "nothing but Debian 12".
block=$(awk '/nothing but Debian 12:$/ { found = 1 } found && /^```/ { if (inside) exit; inside = 1; next } inside' README.md)
[ -n "$block" ] || fail "no block for Debian in README.md"
inside() { env -i HOME=/root PATH=/root/.cargo/bin:/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" bash -c "cd /root/safelight && $1"; }
# The index of packages of a new machine is that of its installation.
inside "apt-get update -qq"
while IFS= read -r command; do
  echo "debian: $ $command"
  case $command in
    *rustup*)
      if ! inside "$command" > "$folder/rustup.log" 2>&1; then
        echo "debian: rustup is out of reach: $(rustc --version) of this machine takes its place"
        mkdir -p "$root/opt/rust" "$root/root/.cargo/bin"
        cp -a "$(rustc --print sysroot)/." "$root/opt/rust"
        for tool in cargo rustc; do ln -sf "/opt/rust/bin/$tool" "$root/root/.cargo/bin/"; done
      fi
      ;;
    "make run")
      set -m
      inside "$command" > "$folder/run.log" 2>&1 &
      server=$!
      set +m
      ;;
    *) inside "$command" > "$folder/command.log" 2>&1 || { tail -20 "$folder/command.log" >&2; fail "failed: $command"; } ;;
  esac
done <<< "$block"
[ -n "$server" ] || fail "the block does not end with \`make run\`"

picture=http://127.0.0.1:8080/cdn-cgi/image/width=800,format=avif/dandelion.jpg
begun=$(date +%s)
until curl -sf -o "$folder/dandelion.avif" "$picture"; do
  kill -0 "$server" 2>/dev/null || { tail -40 "$folder/run.log" >&2; fail "make run has ended"; }
  [ $(($(date +%s) - begun)) -lt 2400 ] || fail "no picture after 40 minutes"
  sleep 2
done
[ "$(head -c 12 "$folder/dandelion.avif" | tail -c 8)" = ftypavif ] || fail "the picture is no AVIF"
echo "debian: the first picture came $(($(date +%s) - begun)) s after \`make run\`: $(stat -c %s "$folder/dandelion.avif") bytes of AVIF"
