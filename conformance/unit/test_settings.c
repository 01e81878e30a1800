/* The administrator's settings: defaults, comments, what is refused and in which words. */
#include "unit.h"

#include <unistd.h>

#include "settings.h"

static char path[] = "/tmp/vxn-settings-XXXXXX";

static int load(const char *text, struct settings *settings, struct error *err)
{
	FILE *stream = fopen(path, "w");

	assert_non_null(stream);
	fputs(text, stream);
	fclose(stream);
	return settings_load(path, settings, err);
}

static void defaults(void **state)
{
	struct settings settings;
	struct error err = { 0 };

	(void)state;
	assert_ok(settings_load("/nowhere/config.json", &settings, &err), err);
	assert_string_equal(settings.kernel, VXN_LIBDIR "/vmlinux");
	assert_string_equal(settings.initramfs, VXN_LIBDIR "/initramfs.cpio");
	assert_int_equal(settings.vcpus, 1);
	assert_int_equal(settings.memory_mib, 512);
	assert_int_equal(settings.overhead_mib, 96);
	assert_int_equal(settings.dom0_min_memory_mib, 0);
	assert_int_equal(settings.hypervisor, HYPERVISOR_AUTO);
	assert_int_equal(settings.xen_type, XEN_TYPE_AUTO);
	assert_string_equal(settings.qemu, "/usr/bin/qemu-system-x86_64");
	assert_string_equal(settings.qemu_user, "nobody");
	assert_int_equal(settings.accelerator, ACCELERATOR_AUTO);
	assert_int_equal(settings.boot_timeout_s, 60);
	assert_int_equal(settings.share_threads, 4);
	assert_int_equal(settings.host_devices, HOST_DEVICES_SKIP);
	settings_free(&settings);
	assert_ok(load("{}", &settings, &err), err);
	assert_int_equal(settings.memory_mib, 512);
	settings_free(&settings);
}

static void all_keys(void **state)
{
	struct settings settings;
	struct error err = { 0 };

	(void)state;
	assert_ok(load("/* ours */ {\n"
		       "\"kernel\": \"/k\", // a comment\n"
		       "\"initramfs\": \"/i\", \"vcpus\": 2, \"memory\": 64, \"overhead\": 0,\n"
		       "\"hypervisor\": \"qemu\", \"xen_type\": \"pv\", \"qemu\": \"/q\",\n"
		       "\"qemu_user\": \"vm\", \"accelerator\": \"tcg\",\n"
		       "\"boot_timeout\": 5, \"share_threads\": 1,\n"
		       "\"host_devices\": \"refuse\" }",
		       &settings, &err),
		  err);
	assert_string_equal(settings.kernel, "/k");
	assert_string_equal(settings.initramfs, "/i");
	assert_int_equal(settings.vcpus, 2);
	assert_int_equal(settings.memory_mib, 64);
	assert_int_equal(settings.overhead_mib, 0);
	assert_int_equal(settings.hypervisor, HYPERVISOR_QEMU);
	assert_int_equal(settings.xen_type, XEN_TYPE_PV);
	assert_string_equal(settings.qemu, "/q");
	assert_string_equal(settings.qemu_user, "vm");
	assert_int_equal(settings.accelerator, ACCELERATOR_TCG);
	assert_int_equal(settings.boot_timeout_s, 5);
	assert_int_equal(settings.share_threads, 1);
	assert_int_equal(settings.host_devices, HOST_DEVICES_REFUSE);
	settings_free(&settings);
}

static void refused(void **state)
{
	static const struct {
		const char *text, *part;
	} rows[] = {
		{ "{\"kernal\": \"/k\"}", "unknown key \"kernal\"" },
		{ "{\"kernel\": \"k\"}", "kernel is no absolute path" },
		{ "{\"kernel\": 1}", "kernel" },
		{ "{\"vcpus\": 0}", "vcpus" },
		{ "{\"vcpus\": 1.5}", "vcpus" },
		{ "{\"memory\": 31}", "memory" },
		{ "{\"memory\": 99999999999999999999}", "memory" },
		{ "{\"overhead\": -1}", "overhead" },
		{ "{\"xen_type\": \"hvm\"}",
		  "xen_type is none of \"auto\", \"pv\", \"pvh\": \"hvm\"" },
		{ "{\"hypervisor\": \"kvm\"}",
		  "hypervisor is none of \"auto\", \"xen\", \"qemu\"" },
		{ "{\"accelerator\": true}", "accelerator" },
		{ "{\"host_devices\": \"auto\"}",
		  "host_devices is none of \"skip\", \"refuse\": \"auto\"" },
		{ "{\"qemu\": \"qemu\"}", "qemu is no absolute path" },
		{ "{\"qemu_user\": \"\"}", "qemu_user is empty" },
		{ "{\"xen_type\": \"pv\", \"xen_type\": []}", "xen_type" },
		{ "[]", "object" },
		{ "{\"vcpus\": 1", ":" },
		{ "", ":" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct settings settings;
		struct error err = { 0 };

		assert_true(load(rows[i].text, &settings, &err) < 0);
		settings_free(&settings);
		if (strncmp(err.message, path, strlen(path)) != 0 ||
		    !strstr(err.message, rows[i].part))
			fail_msg("%s: %s", rows[i].text, err.message);
	}
}

/* A config.json with these annotations and one volume, /v. */
static struct oci_config *config_with(const char *members)
{
	struct oci_config *config;
	struct error err = { 0 };
	char text[1024];

	snprintf(
		text, sizeof(text),
		"{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"},\"process\":{\"args\":[\"x\"],"
		"\"cwd\":\"/\"},\"mounts\":[{\"destination\":\"/v\",\"source\":\"/"
		"s\",\"type\":\"bind\"}],"
		"\"annotations\":{%s}}",
		members);
	assert_ok(config_parse(text, strlen(text), &config, &err), err);
	return config;
}

static void annotations(void **state)
{
	static const struct {
		const char *settings, *annotations, *words; /* words NULL: accepted */
	} rows[] = {
		{ "{}", "", NULL },
		{ "{}", "\"com.example.x\":\"1\"", NULL },
		{ "{}", "\"org.vxn.cache\":\"none\",\"org.vxn.cache./v\":\"auto\"", NULL },
		{ "{\"allow_annotations\":[\"cache\"]}", "\"org.vxn.cache\":\"none\"", NULL },
		{ "{\"allow_annotations\":[]}", "\"org.vxn.cache./v\":\"none\"",
		  "org.vxn.cache./v is not allowed" },
		{ "{}", "\"org.vxn.caches\":\"none\"", "unknown annotation org.vxn.caches" },
		{ "{}", "\"org.vxn.\":\"none\"", "unknown annotation org.vxn." },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct oci_config *config = config_with(rows[i].annotations);
		struct settings settings;
		struct error err = { 0 };
		int result;

		assert_ok(load(rows[i].settings, &settings, &err), err);
		result = settings_apply_config(&settings, config, &err);
		assert_int_equal(result, rows[i].words ? -1 : 0);
		if (rows[i].words)
			assert_non_null(strstr(err.message, rows[i].words));
		settings_free(&settings);
		config_free(config);
	}
}

static void vm_section(void **state)
{
	static const char text[] =
		"{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"},\"vm\":{\"kernel\":"
		"{\"path\":\"/k\",\"initrd\":\"/i\",\"parameters\":[\"a\",\"b\"]}}}";
	static const struct {
		const char *settings, *words;
	} refused[] = {
		{ "{}", "vm.kernel.path is refused" },
		{ "{\"allow_vm\":[\"kernel\"]}", "vm.kernel.initrd is refused" },
		{ "{\"allow_vm\":[\"kernel\",\"initrd\"]}", "vm.kernel.parameters is refused" },
	};
	struct oci_config *config = NULL;
	struct settings settings;
	struct error err = { 0 };

	(void)state;
	assert_ok(config_parse(text, strlen(text), &config, &err), err);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		assert_ok(load(refused[i].settings, &settings, &err), err);
		assert_int_equal(settings_apply_config(&settings, config, &err), -1);
		assert_non_null(strstr(err.message, refused[i].words));
		settings_free(&settings);
	}
	assert_ok(load("{\"allow_vm\":[\"kernel\",\"initrd\",\"parameters\"]}", &settings, &err),
		  err);
	assert_ok(settings_apply_config(&settings, config, &err), err);
	assert_string_equal(settings.kernel, "/k");
	assert_string_equal(settings.initramfs, "/i");
	assert_string_equal(settings.kernel_parameters, "a b");
	settings_free(&settings);
	config_free(config);
}

static void caches(void **state)
{
	struct oci_config *config =
		config_with("\"org.vxn.cache\":\"none\",\"org.vxn.cache./v\":\"always\"");
	struct oci_config *plain = config_with("");
	struct oci_config *wrong = config_with("\"org.vxn.cache./v\":\"some\"");
	enum share_cache cache;
	struct error err = { 0 };

	(void)state;
	assert_ok(cache_of(config, NULL, SHARE_CACHE_AUTO, &cache, &err), err);
	assert_int_equal(cache, SHARE_CACHE_NONE);
	assert_ok(cache_of(config, &config->mounts[0], SHARE_CACHE_AUTO, &cache, &err), err);
	assert_int_equal(cache, SHARE_CACHE_ALWAYS);
	assert_ok(cache_of(plain, &plain->mounts[0], SHARE_CACHE_NONE, &cache, &err), err);
	assert_int_equal(cache, SHARE_CACHE_NONE);
	assert_int_equal(cache_of(wrong, &wrong->mounts[0], SHARE_CACHE_AUTO, &cache, &err), -1);
	assert_non_null(strstr(err.message, "org.vxn.cache./v"));
	config_free(config);
	config_free(plain);
	config_free(wrong);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),   cmocka_unit_test(all_keys),
		cmocka_unit_test(refused),    cmocka_unit_test(annotations),
		cmocka_unit_test(vm_section), cmocka_unit_test(caches),
	};
	int fd = mkstemp(path), result;

	if (fd < 0)
		return 1;
	close(fd);
	result = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return result;
}
