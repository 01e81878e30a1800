/* See flags.h. getopt_long does the work; its own messages are replaced by runc's. */
#include "flags.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "string_list.h"

#define LONG_BASE 256 /* getopt's value of flag i is LONG_BASE + i */
#define HELP	  1

struct parser {
	struct option options[FLAGS_MAX + 2];
	char letters[2 * FLAGS_MAX + 4];
};

/* Fills a zeroed parser. */
static void make_parser(const struct flags_usage *usage, struct parser *parser)
{
	char *letter = parser->letters;
	int n = 0;

	if (usage->stop_at_argument)
		*letter++ = '+';
	*letter++ = ':';
	*letter++ = 'h';
	for (const struct flag *flag = usage->flags; flag->name && n < FLAGS_MAX; flag++, n++) {
		bool is_switch = flag->kind == FLAG_SWITCH;

		parser->options[n] = (struct option){
			.name = flag->name,
			.has_arg = is_switch ? optional_argument : required_argument,
			.val = LONG_BASE + n,
		};
		if (flag->letter)
			*letter++ = flag->letter;
		if (flag->letter && !is_switch)
			*letter++ = ':';
	}
	parser->options[n] = (struct option){ .name = "help", .val = HELP };
}

static int set_switch(const struct flag *flag, const char *text, struct error *err)
{
	bool on = !text || !strcmp(text, "true") || !strcmp(text, "1");
	bool off = !on && (!strcmp(text, "false") || !strcmp(text, "0"));

	if (!on && !off)
		return error_set(err, 0, "invalid boolean value \"%s\" for -%s", text, flag->name);
	if (flag->value)
		*(bool *)flag->value = on;
	return 0;
}

static int set(const struct flag *flag, const char *text, struct error *err)
{
	if (flag->kind == FLAG_SWITCH)
		return set_switch(flag, text, err);
	if (!flag->value)
		return 0;
	if (flag->kind == FLAG_LIST)
		return string_list_add(flag->value, text, err);
	*(const char **)flag->value = text;
	return 0;
}

static const struct flag *find_flag(const struct flags_usage *usage, int option)
{
	if (option >= LONG_BASE)
		return &usage->flags[option - LONG_BASE];
	for (const struct flag *flag = usage->flags; flag->name; flag++)
		if (flag->letter == option)
			return flag;
	return NULL;
}

/* What getopt did not take: by its letter, or the word it has just passed. */
static int refuse(int option, char **argv, struct error *err)
{
	char letter[3] = { '-', (char)optopt, '\0' };
	const char *word = optopt > 0 && optopt < LONG_BASE ? letter : argv[optind - 1];

	if (option == ':')
		return error_set(err, 0, "flag needs an argument: %s", word);
	return error_set(err, 0, "flag provided but not defined: %s", word);
}

static int check_count(const struct flags_usage *usage, int count, struct error *err)
{
	if (usage->min == usage->max && count != usage->min)
		return error_set(err, 0, "%s: \"%s\" requires exactly %d argument(s)", "vxn-runc",
				 strrchr(usage->command, ' ') + 1, usage->min);
	if (count < usage->min)
		return error_set(err, 0, "%s: \"%s\" requires a minimum of %d argument(s)",
				 "vxn-runc", strrchr(usage->command, ' ') + 1, usage->min);
	if (usage->max >= 0 && count > usage->max)
		return error_set(err, 0, "%s: \"%s\" requires a maximum of %d argument(s)",
				 "vxn-runc", strrchr(usage->command, ' ') + 1, usage->max);
	return 0;
}

int flags_parse(const struct flags_usage *usage, int argc, char **argv, struct error *err)
{
	struct parser parser = { 0 };
	int option;

	make_parser(usage, &parser);
	opterr = 0;
	optind = 0; /* begins anew: the verb's flags come after the global ones */
	while ((option = getopt_long(argc, argv, parser.letters, parser.options, NULL)) != -1) {
		const struct flag *flag;

		if (option == HELP || option == 'h') {
			flags_print_help(usage);
			return 0;
		}
		if (option == '?' || option == ':')
			return refuse(option, argv, err);
		flag = find_flag(usage, option);
		if (!flag || set(flag, optarg, err))
			return -1;
	}
	return check_count(usage, argc - optind, err) ? -1 : optind;
}

void flags_print_help(const struct flags_usage *usage)
{
	printf("%s - %s\n\nusage: %s [flags] %s\n\nflags:\n", usage->command, usage->summary,
	       usage->command, usage->arguments);
	for (const struct flag *flag = usage->flags; flag->name; flag++) {
		char names[64];

		snprintf(names, sizeof(names), "--%s%s%s%c", flag->name,
			 flag->kind == FLAG_SWITCH ? "" : " value", flag->letter ? ", -" : "",
			 flag->letter ? flag->letter : ' ');
		printf("  %-30s %s\n", names, flag->help);
	}
	printf("  %-30s %s\n", "--help, -h", "prints this");
}
