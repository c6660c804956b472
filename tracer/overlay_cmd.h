/* remotefs-trace overlay diff|apply|discard DIR: what a kept overlay has, and what becomes of it. */
#ifndef TRACER_OVERLAY_CMD_H
#define TRACER_OVERLAY_CMD_H

/* Runs the command ARGV ("overlay", "diff", ...). The exit status; may become another program instead. */
int command_overlay(int argc, char **argv);

#endif
