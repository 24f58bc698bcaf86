set -e
mount -t tmpfs none /run
mkdir -p /run/mem /run/ganesha /run/rpcbind
ip link set lo up
rpcbind
exec ganesha.nfsd -F -f ganesha.conf -L ganesha.log -N NIV_CRIT -p /run/ganesha.pid
