#!/bin/bash
# One node of the test cluster: its own network address, /dev/shm and /tmp; started by slurm_cluster.sh inside the outer namespaces.
set -eu
name=$1 address=$2 base=$3
shift 2
mount --make-rprivate /
mount -t proc proc /proc
ip link set lo up
until ip link show "v$name" > /dev/null 2>&1; do sleep 0.05; done
ip addr add "$address/24" dev "v$name"
ip link set "v$name" up
source "$(dirname "$0")/slurm_network.sh"
hostname "$name"
mount -t tmpfs tmpfs /dev/shm
# A /tmp of its own, through which only what the test shares is seen.
mount -t tmpfs tmpfs /mnt
count=0
for folder in "$@"; do mkdir -p "/mnt/$count"; mount --rbind "$folder" "/mnt/$count"; count=$((count + 1)); done
mount -t tmpfs tmpfs /tmp
chmod 1777 /tmp
count=0
for folder in "$@"; do mkdir -p "$folder"; mount --rbind "/mnt/$count" "$folder"; count=$((count + 1)); done
umount -l /mnt
slurmd -D -N "$name" -f "$base/slurm.conf" &
wait "$!" # this shell is the node's first process: it reaps what others leave
