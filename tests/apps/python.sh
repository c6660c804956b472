#!/bin/bash
# Python's own tests of files, on a mount: each test ends as it does natively.
. "$(dirname "$0")/apps.sh"
python=/usr/bin/python3.11
"$python" -c 'import test.test_os' 2>"$work/err" || { skip "$SUITE" "libpython3.11-testsuite"; finish; }

# A link to the interpreter itself must lead to it: the target's root is /.
TARGET=dir//:$work/target
modules=${MODULES:-test_os test_posix test_io test_fileio test_file test_mmap test_shutil test_tempfile test_pathlib test_glob
	test_zipfile test_tarfile test_sqlite3 test_fcntl test_largefile test_stat test_subprocess}

# results FILE: each test of a JUnit report, and how it ended.
results() {
	"$python" - "$1" <<'END'
import sys
import xml.etree.ElementTree as tree

for case in sorted(tree.parse(sys.argv[1]).iter("testcase"), key=lambda c: c.get("name", "")):
    ends = [e.tag for e in case if e.tag in ("failure", "error", "skipped")]
    print(case.get("name"), case.get("status"), case.get("result"), *ends)
END
}

for module in $modules; do
	"$python" -c "import test.$module" 2>"$work/err" || { skip "python $module" "it in libpython3.11-testsuite"; continue; }
	script="mkdir t && exec $python -m test -u largefile --timeout $((300 * SCALE)) --tempdir t --junit-xml $work/report.xml $module"
	rm -f "$work/report.xml"
	natively $((600 * SCALE)) bash -c "$script" >"$work/out" 2>&1
	status=$?
	native="exit $status $(results "$work/report.xml" 2>&1)"
	rm -f "$work/report.xml"
	remotely $((900 * SCALE)) bash -c "$script" >"$work/out" 2>&1
	status=$?
	equal "python $module: $(wc -l <<<"$native") results" "$native" "exit $status $(results "$work/report.xml" 2>&1)"
done
finish
