"""What a comparison leaves in build/bench: a TSV file, and a plot of it by gnuplot."""
import os
import subprocess

from benchlib import Misbehaved, have

HEAD = ["workload", "peer", "rtt_ms", "unit", "median", "min", "max", "round_trips", "requests", "note"]
BARS = [("native", ""), ("ours", "20"), ("sshfs", "20")]
PLOT = """set terminal svg size 1000,520 font "sans,12" background "white"
set output "%s"
set datafile separator "\\t"
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.8 noborder
set logscale y
set ylabel "seconds"
set grid ytics
set key top left
set xtics rotate by -25
set title "%s"
plot for [i=2:%d] "%s" using i:xtic(1) title columnheader(i)
"""


def write_tsv(bench, name, rows):
    path = os.path.join(bench.tools, name + ".tsv")
    with open(path, "w") as f:
        for row in [HEAD] + rows:
            f.write("\t".join(row) + "\n")
    print("written: %s" % os.path.relpath(path))


def plot(bench, name, title, rows):
    """The seconds of ROWS at an RTT of 20 ms. A value that is missing, one that took too long say, has no bar."""
    if not have("gnuplot"):
        bench.skip("the plot", "gnuplot")
        return
    medians = {(row[0], row[1], row[2]): row[4] for row in rows if row[3] == "s"}
    data = os.path.join(bench.work, name + ".dat")
    with open(data, "w") as f:
        f.write("\t".join(["workload"] + ["%s, %s ms" % bar if bar[1] else bar[0] for bar in BARS]) + "\n")
        for workload in dict.fromkeys(key[0] for key in medians):
            values = [medians.get((workload,) + bar) or "NaN" for bar in BARS]
            f.write("\t".join([workload] + values) + "\n")
    picture = os.path.join(bench.tools, name + ".svg")
    done = subprocess.run(["gnuplot"], input=(PLOT % (picture, title, len(BARS) + 1, data)).encode(), capture_output=True)
    if done.returncode:
        raise Misbehaved("gnuplot: %s" % done.stderr.decode(errors="replace").strip())
    print("written: %s" % os.path.relpath(picture))
