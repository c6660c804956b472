#!/bin/bash
# redis with an append-only file: rewritten, restarted, cut off; and its snapshots.
. "$(dirname "$0")/apps.sh"
needs redis-server
needs redis-cli redis-tools

PORT=$(free_port)
export PORT
# Redis's own check of its files, and what a native server finds in them.
state() {
	(cd "$1" && ls -A | sort
	redis-check-rdb dump.rdb 2>&1 | grep -o 'RDB looks OK.*'
	for manifest in appendonlydir/*.manifest; do redis-check-aof "$manifest" 2>&1 | grep -o 'All AOF files.*'; done
	redis-server --port "$PORT" --appendonly yes --save '' >/dev/null 2>&1 &
	until redis-cli -p "$PORT" ping 2>/dev/null | grep -q PONG; do sleep 0.1; done
	redis-cli -p "$PORT" dbsize
	redis-cli -p "$PORT" debug digest
	redis-cli -p "$PORT" shutdown nosave
	wait)
}

for fsync in always everysec; do
	export fsync
	both "redis, appendfsync $fsync" 120 '
	start() {
		redis-server --port $PORT --appendonly yes --appendfsync $fsync --save "" --dir "$M" --enable-debug-command yes "$@" >>log 2>&1 &
		server=$!
		until redis-cli -p $PORT ping 2>/dev/null | grep -q PONG; do sleep 0.1; done
	}
	ask() { redis-cli -p $PORT "$@"; }
	idle() { until ask info persistence | tr -d "\r" | grep -qx "$1:0"; do sleep 0.1; done; }
	start
	for i in $(seq 400); do echo "set key$i $(printf %0$((i % 90 + 1))d $i)"; echo "rpush list$((i % 7)) $i"; echo "hset h$((i % 5)) f$i $i"; done | ask --pipe | grep -v "^All\|^Last"
	ask set binary "$(printf "a\nb\tc")"; ask del key3 key4; ask incr counter; ask dbsize; ask debug digest
	ask bgrewriteaof; idle aof_rewrite_in_progress
	for i in $(seq 200); do echo "incr counter"; done | ask --pipe | grep -v "^All\|^Last"
	ask debug digest; ask shutdown nosave; wait $server
	start; ask dbsize; ask get counter; ask debug digest
	ask bgsave; idle rdb_bgsave_in_progress; ask info persistence | grep rdb_last_bgsave_status
	ask set after save; ask config set appendonly no; ask config set appendonly yes; idle aof_rewrite_in_progress
	ask set last one; ask wait 0 0; kill -TERM $server; wait $server
	start; ask get last; ask dbsize; ask debug digest; ask save; sleep 1.2
	kill -KILL $server; wait $server 2>/dev/null
	start; ask debug digest; ask shutdown nosave; wait $server
	grep -c "Warning\|error\|fail" log; ls -A appendonlydir; rm log
	'
done
finish
