/* From the configuration to the rules that paths are decided by. */
#ifndef TRACER_CONFIG_RULES_H
#define TRACER_CONFIG_RULES_H

struct config;

/* Adds all rules in C, which has no problems. */
void config_add_rules(const struct config *c);

#endif
