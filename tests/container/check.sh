#!/usr/bin/env bash
# Runs the program as a container would, without Docker: the root of `.ci/rootfs`, read-only, with a user without rights, in namespaces of its own.
#   tests/container/check.sh [PROGRAM] [MEBIBYTES]
# Needs Linux and root (or sudo), strip and curl. Exits with 1 when anything is missing or wrong, or if the root is larger than so many MiB.
set -euo pipefail
cd "$(dirname "$0")/../.."
program=${1:-target/debug/safelight}
most=${2:-}
# Below the ports that the system gives to clients.
export PORT=$((10000 + RANDOM % 10000))
export ADMIN=$((PORT + 10000))
root=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; wait 2>/dev/null; umount -R "$root/mounted" 2>/dev/null || true; rm -rf "$root"' EXIT
fail() { echo "container: $*" >&2; sed 's/^/container: log: /' "$root/log" >&2 2>/dev/null || true; exit 1; }

.ci/rootfs "$program" "$root/image"
size=$(du -sm "$root/image" | cut -f 1)
echo "the root has $size MiB in $(find "$root/image" -type f | wc -l) files"
[ -z "$most" ] || [ "$size" -le "$most" ] || fail "more than $most MiB"

# What `docker run --read-only --tmpfs /tmp -v cache:/var/cache/safelight -v photos:/pictures:ro --user 65532` makes.
mkdir -p "$root/mounted"
cat > "$root/run.sh" <<'RUN'
set -eu
image=$1 at=$2 photos=$3
shift 3
mount --bind "$image" "$at"
mkdir -p "$image/pictures" "$image/proc" "$image/dev"
mount -t tmpfs -o mode=1777 tmp "$at/tmp"
mount -t tmpfs -o uid=65532,gid=65532,mode=750 cache "$at/var/cache/safelight"
mount --bind "$photos" "$at/pictures"
mount -o remount,bind,ro "$photos" "$at/pictures"
mount --bind -o ro /proc "$at/proc"
mount -o remount,bind,ro "$image" "$at"
cd "$at"
exec env -i PATH="$PATH" XDG_CACHE_HOME=/var/cache SAFELIGHT__SERVER__LISTEN=127.0.0.1:$PORT SAFELIGHT__ADMIN__LISTEN=127.0.0.1:$ADMIN \
  setpriv --no-new-privs chroot --userspec=65532:65532 . /usr/bin/safelight "$@"
RUN
inside=(unshare --mount --propagation private sh "$root/run.sh" "$root/image" "$root/mounted" "$PWD/examples/photos")

missing=$(chroot "$root/image" /usr/bin/safelight --version 2>&1) || fail "the program does not start: $missing"
echo "$missing"

"${inside[@]}" serve /pictures > "$root/log" 2>&1 &
server=$!
for _ in $(seq 100); do
  if "${inside[@]}" health --admin 127.0.0.1:$ADMIN > "$root/health" 2>&1; then break; fi
  kill -0 "$server" 2>/dev/null || fail "the server has ended"
  sleep 0.1
done
grep -q ready "$root/health" || fail "not ready: $(cat "$root/health")"
user=$(stat -c %u "/proc/$server")
[ "$user" = 65532 ] || fail "it runs as user $user"

for format in avif webp jpeg png; do
  curl -sSf -o "$root/picture" -w "%{http_code} %{content_type} %{size_download}\n" \
    "http://127.0.0.1:$PORT/cdn-cgi/image/width=64,format=$format/dogs.jpg" || fail "no $format"
done
curl -sSf -o "$root/metrics" "http://127.0.0.1:$ADMIN/metrics" || fail "no metrics"
grep -q safelight_renders_total "$root/metrics" || fail "nothing was rendered"
# A second time, from the disk cache: it can be written to.
entries=$(grep -c 'safelight_cache_disk_off{.*} 1' "$root/metrics" || true)
[ "$entries" = 0 ] || fail "the disk cache is off"
kill -TERM "$server" || fail "the server has ended"
wait "$server" || fail "it ended with $?"
server=
echo "container: all right"
