/* See config_file.h. */
#include "config_file.h"

#include <fcntl.h>

#include "textfile.h"

char *config_file_read(const char *path, size_t *size, struct error *err)
{
	return textfile_read(AT_FDCWD, path, CONFIG_SIZE_MAX, size, err);
}

int config_file_load(const char *path, char **text, size_t *size, struct oci_config **config,
		     struct error *err)
{
	*config = NULL;
	*text = config_file_read(path, size, err);
	if (!*text)
		return -1;
	if (config_parse(*text, *size, config, err))
		return error_prefix(err, "%s", path);
	return 0;
}
