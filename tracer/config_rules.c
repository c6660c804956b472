#include "config_rules.h"

#include "config.h"
#include "rules.h"
#include "util.h"

void config_add_rules(const struct config *c)
{
	static const struct {
		enum config_id id;
		enum rule_kind kind;
	} lists[] = {
		{ CONFIG_MAPPING, RULE_MAPPING },     { CONFIG_NOT_FOUND, RULE_NOT_FOUND }, { CONFIG_READ_WRITE, RULE_READ_WRITE },
		{ CONFIG_READ_ONLY, RULE_READ_ONLY }, { CONFIG_LOCAL, RULE_LOCAL },
	};
	char err[512];

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		const struct settings *s = &c->of[lists[i].id];

		for (size_t j = 0; j < s->count; j++) {
			const struct setting *it = &s->items[j];

			if (rules_add(lists[i].kind, it->key ? it->key : it->value, it->key ? it->value : NULL, it->from, err, sizeof(err)))
				die("%s: %s", it->from, err); /* it was checked when it was read */
		}
	}
}
