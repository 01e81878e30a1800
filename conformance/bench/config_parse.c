/* config_parse FILE [N]: parses and validates a config.json, N times (1). For conformance/bench/config. */
#include <stdio.h>
#include <stdlib.h>

#include "config.h"

int main(int argc, char **argv)
{
	static char text[4 << 20];
	FILE *file = argc > 1 ? fopen(argv[1], "re") : NULL;
	struct error err = { 0 };
	size_t size;

	if (!file) {
		fprintf(stderr, "config_parse: no file\n");
		return 1;
	}
	size = fread(text, 1, sizeof(text), file);
	fclose(file);
	for (int left = argc > 2 ? atoi(argv[2]) : 1; left > 0; left--) {
		struct oci_config *config;

		if (config_parse(text, size, &config, &err) < 0) {
			fprintf(stderr, "%s\n", err.message);
			return 1;
		}
		config_free(config);
	}
	return 0;
}
