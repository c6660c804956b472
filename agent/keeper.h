/*
 * The keeper: a process that shares the agent's descriptors, and so its open files with their positions and locks. When the agent is
 * killed or crashes, it makes another one, which goes on with what the journal (keep.h) tells.
 */
#ifndef AGENT_KEEPER_H
#define AGENT_KEEPER_H

#include <stdbool.h>
#include <stddef.h>

/* Where `ps` reads what a process is called: main's. */
void keeper_title_at(int argc, char **argv);

/*
 * Divides the process, which has no other thread: the calling one becomes the keeper, and the function returns in a child, the
 * agent, with 0. Whenever that has been killed, it returns in another one with 1: its memory is what it was at the first return,
 * but for what is shared. A negative errno: there is no keeper.
 */
int keeper_start(void);

/*
 * After 1: closes what neither the journal names, nor the COUNT descriptors of KEEP, nor was open at keeper_start; of these, too,
 * those of DROP. Standard input, output and error were the dead process's: they lead nowhere from here on.
 */
void keeper_sweep(const int *keep, size_t count, const int *drop, size_t drops);

#endif
