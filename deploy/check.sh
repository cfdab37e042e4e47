#!/bin/sh
# Builds the image and tries it where a Docker daemon runs; where none does, only the files are checked.
# deploy/check.sh, from anywhere
set -eu
cd "$(dirname "$0")/.."

python3 -m pytest -q tests/serving/test_deploy.py
if ! docker info >/dev/null 2>&1; then
    echo "No Docker daemon: the files were checked, the image was not built."
    exit 0
fi

docker build -f deploy/Dockerfile -t earwitness:check .
container=$(docker run -d --read-only --tmpfs /tmp -p 127.0.0.1::8000 earwitness:check)
trap 'docker rm -f "$container" >/dev/null' EXIT
port=$(docker port "$container" 8000 | sed 's/.*://')
tries=0
until curl -fsS "http://127.0.0.1:$port/readyz" >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -ge 60 ]; then
        docker logs "$container"
        exit 1
    fi
    sleep 1
done
curl -fsS -F file=@examples/farm.opus "http://127.0.0.1:$port/v1/captions"
echo
docker stop --time 40 "$container" >/dev/null
test "$(docker inspect -f '{{.State.ExitCode}}' "$container")" = 0
echo "The image was built, captioned a recording and stopped in order."
