#!/bin/bash
# sqlite3: rollback journal and WAL, two processes that write at the same time, and one that dies in the middle.
. "$(dirname "$0")/apps.sh"
needs sqlite3

state() {
	(cd "$1" && ls && sqlite3 db 'pragma integrity_check; pragma journal_mode; select count(*), sum(length(t)) from n; select who, count(*) from n group by who' .schema)
}

for mode in delete truncate persist wal; do
	export mode
	both "sqlite3, journal_mode=$mode" 120 '
	sqlite3 db "pragma journal_mode=$mode; create table n(i integer primary key, who text, t text); create index x on n(who, t);"
	writer() {
		for r in 1 2 3 4 5 6 7 8; do
			echo "begin immediate;"
			for i in 1 2 3 4 5 6 7 8 9 10; do echo "insert into n(who, t) values(\"$1\", hex(zeroblob($r * 40 + $i)));"; done
			echo "commit; select count(*) > 0 from n where who = \"$1\";"
		done | sqlite3 -cmd ".timeout 60000" -cmd "pragma journal_mode=$mode" -cmd "pragma synchronous=full" db | sort | uniq -c
	}
	writer a >a.out 2>&1 & writer b >b.out 2>&1 & writer c >c.out 2>&1 & wait
	cat a.out b.out c.out; rm -f ?.out
	sqlite3 db "pragma integrity_check; select who, count(*), sum(length(t)) from n group by who; delete from n where length(t) % 3 = 0; vacuum; pragma wal_checkpoint(truncate); select count(*) > 0 from n; pragma quick_check"
	'
done

# A writer that is killed in its transaction leaves what another process, or sqlite here, rolls back.
for mode in delete wal; do
	export mode
	remotely 60 bash -c '
	sqlite3 db "pragma journal_mode=$mode; create table n(i integer primary key, who text, t text); insert into n(who, t) values(1, 2)" >out
	echo "pragma cache_size=2; pragma cache_spill=1; begin; with recursive r(i) as (select 1 union all select i + 1 from r where i < 3000)
		insert into n(who, t) select i, hex(zeroblob(100)) from r; select 7;" >sql
	sqlite3 db < <(cat sql; sleep 20) >half & writer=$!
	until grep -q 7 half; do sleep 0.1; done; kill -KILL $writer; wait $writer' 2>/dev/null
	equal "sqlite3, journal_mode=$mode: killed, something is to be rolled back" yes \
		"$([ -s "$work/target/db-journal" ] || [ -s "$work/target/db-wal" ] && echo yes)"
	cp -r "$work/target" "$work/copy"
	equal "sqlite3, journal_mode=$mode: killed, rolled back there" "ok 1" \
		"$(again 30 sqlite3 db 'pragma integrity_check; select count(*) from n' 2>&1 | xargs)"
	equal "sqlite3, journal_mode=$mode: killed, rolled back natively" "ok 1" \
		"$(sqlite3 "$work/copy/db" 'pragma integrity_check; select count(*) from n' 2>&1 | xargs)"
	rm -rf "$work/copy"
done
finish
