#!/bin/bash
# A SLURM of two nodes inside one machine: slurm_cluster.sh BASE SHARED... runs in namespaces of its own until it is killed, and all with it.
#   BASE       holds slurm.conf, hosts and munge.key; sockets, logs and the folder control lie there
#   SHARED...  folders that the nodes see although each has a /tmp of its own
# A file control/start-NODE starts a node; control/kill-NODE ends it at once, as if its power were cut.
set -u
base=$1
shared=("$@")
here=$(dirname "$(readlink -f "$0")")
mount --make-rprivate /
mount --bind "$base/hosts" /etc/hosts
ip link set lo up
ip link add br0 type bridge
ip addr add 10.213.0.1/24 dev br0
ip link set br0 up
source "$here/slurm_network.sh"
hostname login
munged --force --key-file="$base/munge.key" --socket="$base/munge.sock" --pid-file="$base/munge.pid" --log-file="$base/munge.log" \
    --seed-file="$base/munge.seed"
slurmctld -i -D -f "$base/slurm.conf" > "$base/slurmctld.out" 2>&1 &

declare -A nodes
start_node() {
    local name=$1 own
    own=$(readlink /proc/self/ns/net)
    unshare --net --pid --mount --uts --ipc --fork --kill-child=SIGKILL bash "$here/slurm_node.sh" "$name" "10.213.0.1${name#node}" \
        "${shared[@]}" > "$base/$name.log" 2>&1 &
    nodes[$name]=$!
    while [ "$(readlink "/proc/${nodes[$name]}/ns/net")" = "$own" ]; do sleep 0.05; done
    ip link add "b$name" type veth peer name "v$name"
    ip link set "b$name" master br0 up
    ip link set "v$name" netns "${nodes[$name]}"
}

start_node node1
start_node node2
while true; do
    for order in "$base"/control/*; do
        case "$order" in
            */start-*) start_node "${order##*/start-}" ;;
            */kill-*) kill -KILL "${nodes[${order##*/kill-}]}"; wait "${nodes[${order##*/kill-}]}" 2> /dev/null ;;
            *) continue ;;
        esac
        rm -f "$order"
    done
    sleep 0.2
done
