#!/bin/bash
# Real programs, natively and traced: what they print and what they leave must be equal.
. "$(dirname "$0")/../lib.sh"

# need PROGRAM NAME: whether it is there; if not, the test is skipped by name.
need() {
	have "$1" || { skip "$2" "$1"; return 1; }
}

busybox_programs() {
	need busybox busybox || return
	same "busybox find | sha1sum" 'busybox find $T -type f | busybox sort | busybox xargs -d "\n" busybox sha1sum' --big
	same "busybox ls -lR" 'cd $T && busybox ls -lnR . 2>/dev/null | busybox grep -v " \(sparse\|total\)"; busybox ls -la $T/dir | busybox wc -l'
	same "busybox cp, mv, rm" 'busybox cp $T/hello.txt $T/lines.txt $T/dir && busybox mkdir $T/d2 && busybox mv $T/deep $T/d2/deep && busybox mv $T/dir/hello.txt $T/ro && busybox rm -r $T/d2/deep/a/b $T/links && busybox find $T/d2 $T/dir | busybox sort; busybox cmp $T/lines.txt $T/dir/lines.txt && echo same'
	same "busybox grep, sed" 'busybox grep -rc line $T/lines.txt $T/dir; busybox sed s/line/LINE/ $T/lines.txt > $T/sed && busybox mv $T/sed $T/lines.txt; busybox head -3 $T/lines.txt'
	same "busybox tail, dd, wc" 'busybox tail -n 2 $T/lines.txt; busybox dd if=$T/sizes/s131073 of=$T/out bs=1000 skip=3 count=7 2>/dev/null; busybox wc -c $T/out $T/sizes/*'
	same "busybox tar" 'busybox tar -C $T -cf $T/t.tar deep dir hard odd && busybox tar -tf $T/t.tar | busybox sort && busybox tar -xOf $T/t.tar | busybox sha1sum; busybox gzip < $T/t.tar > $T/t.gz && busybox zcat $T/t.gz | busybox cmp - $T/t.tar && echo same; busybox rm $T/t.gz $T/t.tar'
	same "busybox stat, test" 'for f in $T/* $T/links/*; do busybox stat -c "%n %s %a %h %F" $f | busybox grep -v directory; [ -e $f ] && echo there; [ -L $f ] && echo link; done'
}

shells() {
	local script='
cd $T || exit 1; pwd; echo one > new; echo two >> new; cat < new; cat <<END > here
a here-document in $PWD
END
cat here; n=0; while read a b; do n=$((n + 1)); last=$b; done < lines.txt; echo $n $last
for f in sizes/s1*; do echo $f; done; echo d*/o*; cd dir; pwd; cd ..; pwd; cd links/dirlink; pwd; pwd -P; cd - > /dev/null
[ -d dir ] && [ -f hello.txt ] && [ ! -e nothing ] && [ -s hello.txt ] && echo tests
{ echo grouped; ls missing; } > both 2>&1; sed "s/.*missing/missing/" both; exec 3< lines.txt; read x <&3; echo "$x"; read x <&3; echo "$x"
exec 3<&-; exec 4> four; echo to four >&4; exec 4>&-; cat four; (cd deep/a; cat leaf); cat hello.txt | cat | tr a-z A-Z; set -C; (echo no > new) 2>/dev/null || echo noclobber
. ./sourced 2>/dev/null || echo "echo sourced" > sourced; . ./sourced; echo $((1 + $(wc -l < new)))'
	local sh
	for sh in bash dash "busybox sh"; do
		need "${sh%% *}" "$sh" || continue
		same "$sh script" "exec $sh -c '$(printf %s "$script" | sed "s/'/'\\\\''/g")'"
	done
	need bash "bash redirections" || return
	same "bash: <>, &>, process substitution" 'exec bash -c "cd \$T; exec 5<> hello.txt; read -n 5 x <&5; echo \$x; echo -n MID >&5; exec 5>&-; cat hello.txt; ls missing dir &> all; wc -l < all; diff <(cat ro) <(cat ro) && echo same; mapfile -t a < lines.txt; echo \${#a[@]}"'
}

scripting() {
	if need python3 "python3 os.walk and mmap"; then
		same "python3 os.walk and mmap" "exec $PYTHON -B -c '
import hashlib, mmap, os
T = os.environ[\"T\"]
for base, dirs, files in os.walk(T):
    dirs.sort()
    for name in sorted(files):
        path = os.path.join(base, name)
        if os.path.islink(path):
            print(repr(path), os.readlink(path)[:60]); continue
        with open(path, \"rb\") as f:
            size = os.fstat(f.fileno()).st_size
            if size:
                with mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m:
                    print(repr(path), size, hashlib.sha1(m).hexdigest())
'"
		same "python3 shutil, tempfile, open modes" "exec $PYTHON -B -c '
import os, shutil, tempfile
T = os.environ[\"T\"]; os.chdir(T)
with open(\"lines.txt\", \"r+\") as f: f.seek(5); f.write(\"XX\"); f.truncate(50)
print(open(\"lines.txt\").read())
with open(\"hello.txt\", \"a\") as f: f.write(\"more\\n\"); print(f.tell())
print(sorted(os.scandir(\"dir\"), key=lambda e: e.name))
with tempfile.TemporaryDirectory(dir=T) as d:
    open(os.path.join(d, \"x\"), \"w\").write(\"y\"); print(os.listdir(d))
shutil.rmtree(\"deep\"); os.replace(\"ro\", \"dir/ro\"); print(sorted(os.listdir(\".\")))
'"
	fi
	if need perl perl; then
		same perl 'exec perl -e '\''use strict; my $T = $ENV{T}; opendir(my $d, "$T/odd") or die; print join("|", sort readdir $d), "\n";
for my $f (sort glob "$T/sizes/*") { open(my $h, "<", $f) or die; binmode $h; local $/; my $x = <$h>; printf "%s %d %s\n", $f, length $x, unpack("%32C*", $x); }
open(my $o, ">>", "$T/hello.txt") or die; print $o "perl\n"; close $o; open(my $i, "+<", "$T/hello.txt") or die; seek($i, 3, 0); print scalar <$i>; print -s $i, " ", (stat "$T/ro")[2], "\n"; rename "$T/ro", "$T/rw" or die; unlink "$T/empty" or die; mkdir "$T/p" or die; print -d "$T/p" ? "dir\n" : "no\n";'\'
	fi
	if need node node; then
		same node 'exec node -e '\''const fs = require("fs"), T = process.env.T, c = require("crypto");
for (const f of fs.readdirSync(T + "/sizes").sort()) { const b = fs.readFileSync(T + "/sizes/" + f); console.log(f, b.length, c.createHash("sha1").update(b).digest("hex")); }
console.log(fs.statSync(T + "/ro").mode, fs.existsSync(T + "/no"), fs.realpathSync(T + "/links/through").slice(T.length));
fs.promises.readFile(T + "/lines.txt", "utf8").then(s => console.log(s.length)); fs.createReadStream(T + "/sizes/s3145745").on("data", d => n += d.length).on("end", () => console.log(n)); let n = 0;'\'
	fi
}

archives() {
	need tar "tar -z" || return
	# tar closes its standard output, and its copy of the archive's descriptor must then have that number.
	same "tar -z" 'cd $T && tar -czf t.tgz deep dir hard odd && tar -tzf t.tgz | sort && mkdir out && tar -C out -xzf t.tgz && rm t.tgz && ls -R out'
}

attributes() {
	need getfacl "setfacl, getfacl, setfattr, cp -a" || return
	same "setfacl, getfacl, setfattr, cp -a" 'cd $T && setfacl -m u:12:rw,g:daemon:r hello.txt && setfacl -d -m u:13:rwx dir && : > dir/made && setfattr -n user.note -v text -h hello.txt dir && cp -a dir hello.txt hard links deep/ && getfacl -pR hello.txt dir deep/dir deep/hello.txt && getfattr -Rhd deep | sort && find deep -printf "%P %m %U %l\n" | sort && ls -ld dir hello.txt | cut -c1-11 && setfacl -b hello.txt && getfacl -p hello.txt'
}

large_directory() {
	local huge=$work/huge want got
	mkdir "$huge"
	"$PYTHON" -c "for i in range(100000): open('$huge/entry-%06d' % i, 'w').close()"
	want=$(ls -f "$huge" | sha1sum)
	got=$(within 30 "$RT" --mount "$huge=dir//:$huge" -- ls -f "$huge" 2>&1 | sha1sum)
	equal "ls -f of 100,000 entries" "$want" "$got"
	rm -r "$huge"
}

databases() {
	need sqlite3 sqlite3 || return
	same "sqlite3 in a write mount" 'cd $T && sqlite3 db.sqlite "create table t(a integer primary key, b text); begin; with recursive n(i) as (select 1 union all select i+1 from n where i<2000) insert into t select i, hex(i*i) from n; commit; select count(*), sum(length(b)) from t; update t set b=b||1 where a%7=0; delete from t where a%11=0; select count(*), sum(length(b)) from t; vacuum; pragma integrity_check;" && sqlite3 -readonly db.sqlite "select max(a), min(b) from t" && sqlite3 -readonly $T/db.sqlite "insert into t values(1,2)"; rm db.sqlite; ls -A | sort'
	same "sqlite3 from stdin, rollback" 'printf "create table x(y);\nbegin;\ninsert into x values(1);\nrollback;\nselect count(*) from x;\n" | sqlite3 $T/r.db; sqlite3 $T/r.db .dump; rm $T/r.db; ls $T | sort'
}

busybox_programs
shells
scripting
archives
attributes
large_directory
databases
