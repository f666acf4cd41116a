# Sourced by slurm_cluster.sh and slurm_node.sh. Who asks for the address of a node that has no power knows within a quarter of a second that there
# is none, as behind a switch that has lost its link; by default it asks for three seconds, and SLURM and Ray wait that long at every attempt.
for neighbours in /proc/sys/net/ipv4/neigh/*; do
    echo 100 > "$neighbours/retrans_time_ms"
    echo 1 > "$neighbours/delay_first_probe_time"
    echo 2 | tee "$neighbours/mcast_solicit" > "$neighbours/ucast_solicit"
done
