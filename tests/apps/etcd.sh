#!/bin/bash
# etcd: its write-ahead log and bbolt's database, which is a shared mapping.
. "$(dirname "$0")/apps.sh"
needs etcd etcd-server
needs etcdctl etcd-client

CLIENT=$(free_port) PEER=$(free_port)
export CLIENT PEER ETCDCTL_API=3 ETCDCTL_ENDPOINTS=127.0.0.1:$CLIENT
# A member's start, shutdown and wait, for scripts in either place.
export SERVER='
start() {
	etcd --data-dir "$1" --name node --listen-client-urls http://127.0.0.1:$CLIENT --advertise-client-urls http://127.0.0.1:$CLIENT \
		--listen-peer-urls http://127.0.0.1:$PEER --initial-advertise-peer-urls http://127.0.0.1:$PEER \
		--initial-cluster node=http://127.0.0.1:$PEER --snapshot-count 50 --log-level error >>"$1.log" 2>&1 &
	server=$!
	until etcdctl endpoint health >/dev/null 2>&1; do kill -0 $server 2>/dev/null || { tail -3 "$1.log"; exit 1; }; sleep 0.2; done
}
stop() { kill -"$1" $server; wait $server 2>/dev/null; }
'

# What a native member finds in the data.
state() {
	(eval "$SERVER"
	start "$1/data"
	etcdctl get --prefix '' | sha1sum
	etcdctl get --prefix '' --keys-only | sort -u | wc -l
	etcdctl get counter -w fields | grep -E 'Version|Mod'
	stop TERM
	rm -f "$1/data.log"
	find "$1" -mindepth 1 -maxdepth 3 -printf '%P %y %m\n' | sort)
}

both "etcd" 180 "$SERVER"'
start data
for i in $(seq 60); do etcdctl put "key$i" "$(seq $i | xargs)" >/dev/null || echo "put $i failed"; done
etcdctl put counter 1; etcdctl get key17; etcdctl del key3 key5; etcdctl put counter 2
printf "value(\"counter\") = \"2\"\n\nput counter 3\n\nput counter 4\n\n" | etcdctl txn | head -3
etcdctl get --prefix key --keys-only | wc -l
stop TERM; start data
etcdctl get counter; etcdctl get --rev=10 key5; etcdctl compact 40; etcdctl defrag
etcdctl snapshot save snap >/dev/null 2>&1; echo "save: $?"; etcdctl snapshot status snap -w fields | grep -v "Size\|Hash"
etcdctl put after snapshot; stop KILL; start data
etcdctl get after; etcdctl alarm list; etcdctl get --prefix "" | sha1sum; stop TERM
etcdctl snapshot restore snap --data-dir restored --name node --initial-cluster node=http://127.0.0.1:$PEER \
	--initial-advertise-peer-urls http://127.0.0.1:$PEER >/dev/null 2>&1; echo "restore: $?"
start restored; etcdctl get counter; etcdctl get after; etcdctl get --prefix "" | sha1sum; stop TERM
grep -h "panic\|corrupt\|fatal\|lost" *.log; rm -f *.log snap
'
finish
