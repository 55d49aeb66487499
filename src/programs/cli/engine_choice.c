/* SPDX-License-Identifier: Apache-2.0 */
/* Which engine; see engine_choice.h. Before the loop runs. */
#include "programs/cli/engine_choice.h"

#include <errno.h>
#include <fcntl.h>

#include "wall/wall.h"

#define KVM_PATH "/dev/kvm"
/* The first processor's entry is all that is looked at. */
#define CPUINFO_SIZE 8192

/* Do the flags of the first processor name vmx or svm? */
static bool host_has_virtualization(void)
{
	AUTO_FREE char *text = calloc(1, CPUINFO_SIZE);
	AUTO_CLOSE int fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
	char *flags, *word, *rest;
	size_t used = 0;
	ssize_t n = 1;

	while (text && fd >= 0 && n > 0 && used < CPUINFO_SIZE - 1) {
		n = read(fd, text + used, CPUINFO_SIZE - 1 - used);
		used += n > 0 ? (size_t)n : 0;
	}
	flags = used ? strstr(text, "\nflags") : NULL;
	if (!flags)
		return false;
	flags++;
	flags[strcspn(flags, "\n")] = '\0';
	while ((word = strtok_r(flags, "\t :", &rest))) {
		if (strcmp(word, "vmx") == 0 || strcmp(word, "svm") == 0)
			return true;
		flags = NULL;
	}
	return false;
}

static int open_kvm(struct err *err)
{
	int fd = open(KVM_PATH, O_RDWR | O_CLOEXEC);
	int r = -errno;

	if (fd >= 0)
		return fd;
	err_set(err, r, "run: --engine kvm: '%s' cannot be opened: %s", KVM_PATH,
		err_words(r));
	if (r == -EACCES || r == -EPERM)
		return err_fix(err, "join its group (usermod -aG kvm USER), or use "
				    "--engine soft");
	return err_fix(err, "load the module kvm-intel or kvm-amd, or use --engine soft");
}

int engine_choose(enum run_engine wanted, u32 *ret_engine, int *ret_kvm, struct err *err)
{
	struct err unused = { 0 };
	int r;

	*ret_kvm = -1;
	switch (wanted) {
	case RUN_ENGINE_INTERP:
		*ret_engine = HV_ENGINE_INTERP;
		return 0;
	case RUN_ENGINE_LOCKSTEP:
		*ret_engine = HV_ENGINE_LOCKSTEP;
		return 0;
	case RUN_ENGINE_SOFT:
		*ret_engine = HV_ENGINE_SOFT;
		return 0;
	case RUN_ENGINE_AUTO:
		if (host_has_virtualization())
			*ret_kvm = open_kvm(&unused);
		if (*ret_kvm < 0)
			*ret_kvm = -1;
		*ret_engine = *ret_kvm >= 0 ? HV_ENGINE_KVM : HV_ENGINE_SOFT;
		return 0;
	case RUN_ENGINE_KVM:
		break;
	}
	*ret_engine = HV_ENGINE_KVM;
	if (!host_has_virtualization()) {
		err_set(err, -ENOTSUP,
			"run: --engine kvm: this host's processor shows no hardware "
			"virtualization (vmx or svm)");
		return err_fix(err, "use --engine soft, or turn virtualization on in the "
				    "host's firmware");
	}
	r = open_kvm(err);
	if (r < 0)
		return r;
	*ret_kvm = r;
	return 0;
}

static bool module_says_yes(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	char said = 'N';

	return fd >= 0 && read(fd, &said, 1) == 1 && (said == 'Y' || said == '1');
}

bool engine_hardware_apics(void)
{
	return module_says_yes("/sys/module/kvm_intel/parameters/enable_apicv") ||
	       module_says_yes("/sys/module/kvm_amd/parameters/avic");
}
