/*
 * Pumps: below FD_BASE read and write are not trapped, so a FIFO of the target that a program puts there (a shell's redirection)
 * becomes a pipe of ours, and threads move the bytes. All functions want the state lock held.
 */
#ifndef TRACER_PUMP_H
#define TRACER_PUMP_H

struct ofd;

/*
 * Starts a pump between the FIFO O and a new pipe, or a pair of sockets where O is open for both ways. The program's end, which
 * the caller hands on and closes, or a negative errno.
 */
int pump_start(struct ofd *o);

/*
 * The program has ended: waits until what it has written is at the target, MS milliseconds at most. How many pumps still had
 * something then.
 */
unsigned pump_finish(int ms);

#endif
