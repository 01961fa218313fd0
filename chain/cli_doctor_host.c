#include "chain/cli_doctor.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timex.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

#define DESCRIPTORS_MIN 1024

void cli_doctor_limits(struct cli_findings *to)
{
	struct cli_finding f = { .section = "limits" };
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
		f.level = CLI_FINDING_WARNING;
		cli_findings_add(
			to, &f, "the limit of descriptors is not known: %s", strerror(errno));
		return;
	}
	if (limit.rlim_cur < DESCRIPTORS_MIN) {
		f.level = CLI_FINDING_WARNING;
		f.remedy = limit.rlim_max >= DESCRIPTORS_MIN
				   ? "ulimit -n 65536 in this shell; in a unit: LimitNOFILE=65536"
				   : "as root: nofile in /etc/security/limits.conf; in a unit: "
				     "LimitNOFILE=65536";
	}
	cli_findings_add(to, &f, "%llu descriptors, at most %llu; a connection takes two",
		(unsigned long long)limit.rlim_cur, (unsigned long long)limit.rlim_max);
}

static bool has_aes(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_cpu_init();
	return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__)
	return (getauxval(AT_HWCAP) & (1ul << 3)) != 0; /* HWCAP_AES */
#else
	return false;
#endif
}

void cli_doctor_cpu(struct cli_findings *to, const struct hopchain_chain *chain)
{
	struct cli_finding f = { .section = "cpu" };
	if (hopchain_chain_is_header_only(chain))
		cli_findings_add(to, &f, "nothing to seal: payload is header-only");
	else if (has_aes())
		cli_findings_add(to, &f, "has AES instructions: payload is sealed with AES-GCM");
	else
		cli_findings_add(to, &f,
			"has no AES instructions: payload is sealed with ChaCha20-Poly1305, which "
			"is slower than AES where there are some");
}

void cli_doctor_synchronised(struct cli_findings *to)
{
	struct cli_finding f = { .section = "clock" };
	struct timex state = { .modes = 0 };
	int result = adjtimex(&state);
	if (result < 0) {
		f.level = CLI_FINDING_WARNING;
		cli_findings_add(
			to, &f, "whether it is synchronised is not known: %s", strerror(errno));
		return;
	}
	if (result == TIME_ERROR || (state.status & STA_UNSYNC) != 0) {
		f.level = CLI_FINDING_WARNING;
		f.remedy = "timedatectl set-ntp true; timedatectl timesync-status says by what";
		cli_findings_add(to, &f,
			"the kernel says it is not synchronised: it will drift, and hops refuse "
			"from 30 s");
		return;
	}
	cli_findings_add(to, &f, "synchronised");
}
