/* test_share [--confined] [--full] [--bench] [--hostile SECONDS] [--seed N] [--in DIRECTORY] */
#include "harness.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "confined", no_argument, NULL, 'c' },
		{ "full", no_argument, NULL, 'f' },
		{ "bench", no_argument, NULL, 'b' },
		{ "hostile", required_argument, NULL, 'h' },
		{ "seed", required_argument, NULL, 's' },
		{ "in", required_argument, NULL, 'i' },
		{ 0 },
	};
	const char *parent = "/tmp";
	double seconds = 5;
	unsigned int seed = (unsigned int)time(NULL);
	bool only_bench = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'c')
			option_confined = true;
		else if (option == 'f')
			option_full = true;
		else if (option == 'b')
			only_bench = true;
		else if (option == 'h')
			seconds = atof(optarg);
		else if (option == 's')
			seed = (unsigned int)atoi(optarg);
		else if (option == 'i')
			parent = optarg;
		else
			return 2;
	}
	harness_begin(parent);
	if (only_bench) {
		bench();
		return harness_end();
	}
	checks_files();
	checks_names();
	checks_owners();
	checks_limits();
	checks_nodes();
	checks_many();
	checks_counts();
	checks_locks();
	checks_confinement();
	if (seconds > 0)
		hostile(base, seconds, seed);
	checks_protocol();
	return harness_end();
}
