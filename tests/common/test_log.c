/* The log: formats, cutting, JSON that parses, a sink that blocks or breaks, rate limits. */
#define LOG_MODULE "test"
#include "common/log.h"

#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX (1 << 20)

static char text[TEXT_MAX];
static int file;

static void open_log(enum log_level level, enum log_format format)
{
	char name[] = "/tmp/test_log_XXXXXX";
	file = mkstemp(name);
	cr_assert_geq(file, 0);
	unlink(name);
	cr_assert_eq(log_start(file, level, format), 0);
}

/* Ends the log; what it wrote is in @text. */
static void close_log(void)
{
	log_stop();
	ssize_t n = pread(file, text, sizeof text - 1, 0);
	cr_assert_geq(n, 0);
	text[n] = '\0';
	close(file);
}

static uint64_t clock_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static unsigned n_lines(const char *in)
{
	unsigned n = 0;
	for (; *in != '\0'; in++)
		n += *in == '\n';
	return n;
}

Test(log, text_lines_have_time_level_and_message)
{
	int y, mo, d, h, mi, s, ms, n = 0;
	open_log(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	LOG_INFO("closed conn=%s up=%d", "7f3a", 12);
	LOG_DEBUG("not told");
	LOG_WARNING("careful");
	close_log();
	cr_assert_eq(
		sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ %n", &y, &mo, &d, &h, &mi, &s, &ms, &n),
		7);
	cr_assert_eq(n, 25);
	cr_assert_eq(strncmp(text + n, "info  closed conn=7f3a up=12\n", 29), 0, "%s", text);
	cr_assert_not_null(strstr(text, "Z warning careful\n"));
	cr_assert_eq(n_lines(text), 2);
}

Test(log, journal_lines_have_a_priority)
{
	open_log(LOG_LEVEL_DEBUG, LOG_FORMAT_JOURNAL);
	LOG_ERROR("a");
	LOG_WARNING("b");
	LOG_NOTICE("c");
	LOG_INFO("d");
	LOG_DEBUG("e");
	close_log();
	cr_assert_str_eq(text, "<3>a\n<4>b\n<5>c\n<6>d\n<7>test: e\n");
}

Test(log, auto_is_journal_only_on_the_journal_stream)
{
	char name[64];
	struct stat st;
	int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	cr_assert_eq(fstat(fd, &st), 0);
	snprintf(name, sizeof name, "%" PRIu64 ":%" PRIu64, (uint64_t)st.st_dev,
		(uint64_t)st.st_ino);
	setenv("JOURNAL_STREAM", name, 1);
	cr_assert_eq(log_start(fd, LOG_LEVEL_INFO, LOG_FORMAT_AUTO), 0);
	LOG_INFO("x");
	file = dup(fd); /* fd stays open: its inode is not used again */
	close_log();
	cr_assert_str_eq(text, "<6>x\n");
	open_log(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
	LOG_INFO("x");
	close_log();
	cr_assert_str_eq(text + 25, "info  x\n");
}

Test(log, control_characters_never_reach_the_sink)
{
	open_log(LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
	LOG_INFO("a\nb\x1b[31m \x7f \xc2\x9b \xff h\xc3\xa9 \xed\xa0\x80");
	close_log();
	cr_assert_str_eq(
		text, "<6>a\\x0ab\\x1b[31m \\x7f \\xc2\\x9b \\xff h\xc3\xa9 \\xed\\xa0\\x80\n");
}

static cJSON *parse_line(char *line)
{
	cJSON *json = cJSON_Parse(line);
	cr_assert_not_null(json, "%s", line);
	return json;
}

static const char *member(const cJSON *json, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
	cr_assert(cJSON_IsString(item), "%s", name);
	return item->valuestring;
}

Test(log, json_is_as_documented)
{
	open_log(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	LOG_INFO("closed conn=7f3a age_ms=%d user=laptop target=10.0.0.5:22 up=-3 zero=0 code=007 "
		 "resumes=",
		8123);
	close_log();
	cr_assert_eq(strncmp(text, "{\"ts\":\"", 7), 0);
	cr_assert_eq(text[30], 'Z');
	cr_assert_str_eq(text + 31,
		"\",\"level\":\"info\",\"msg\":\"closed\",\"conn\":\"7f3a\",\"age_ms\":8123,"
		"\"user\":\"laptop\",\"target\":\"10.0.0.5:22\",\"up\":-3,\"zero\":0,\"code\":"
		"\"007\",\"resumes\":\"\"}\n");
	cJSON_Delete(parse_line(text));
}

Test(log, json_quotes_words_and_names)
{
	char quoted[64];
	open_log(LOG_LEVEL_DEBUG, LOG_FORMAT_JSON);
	LOG_DEBUG("s=1 header -> \"dial\" \\ user=%s level=x msg=y 1a=b =c \xff\x01 \xc3\xa9",
		log_quote("a \"b\" = \\\n\xfe", quoted, sizeof quoted));
	close_log();
	cJSON *json = parse_line(text);
	cr_assert_str_eq(
		member(json, "msg"), "header -> \"dial\" \\ 1a=b =c \xef\xbf\xbd\x01 \xc3\xa9");
	cr_assert_str_eq(member(json, "user"), "a \"b\" = \\\n\xef\xbf\xbd");
	cr_assert_str_eq(member(json, "level"), "debug");
	cr_assert_str_eq(member(json, "module"), "test");
	cr_assert_str_eq(member(json, "level_"), "x");
	cr_assert_str_eq(member(json, "msg_"), "y");
	cJSON_Delete(json);
}

Test(log, json_is_valid_whatever_is_logged)
{
	static char random[300];
	uint32_t seed = 1;
	open_log(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	for (int i = 0; i < 3000; i++) {
		size_t n = 1 + i % 290;
		for (size_t k = 0; k < n; k++) {
			seed = seed * 1664525 + 1013904223;
			random[k] = "ab=\"\\ x1\n\xff\xc3\xa9\t=\" "[seed >> 16 & 15];
			if (seed >> 28 == 0)
				random[k] = (char)(seed >> 8 | 1);
		}
		random[n] = '\0';
		LOG_INFO("%s", random);
		if (i % 500 == 0)
			usleep(50000);
	}
	close_log();
	cr_assert_eq(n_lines(text), 3000);
	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
		cJSON_Delete(parse_line(line));
}

Test(log, long_messages_are_cut_between_characters)
{
	static char huge[5000];
	for (size_t shift = 0; shift < 4; shift++) {
		open_log(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
		memset(huge, 'x', shift);
		for (size_t i = shift; i + 2 < sizeof huge; i += 2)
			memcpy(huge + i, "\xc3\xa9", 2);
		huge[sizeof huge - 1] = '\0';
		LOG_INFO("words key=\"%s\"", huge);
		close_log();
		cJSON *json = parse_line(text);
		const char *value = member(json, "key");
		size_t n = strlen(value);
		cr_assert_gt(n, LOG_LINE_MAX - 40);
		cr_assert_lt(n, LOG_LINE_MAX);
		cr_assert_str_eq(value + n - 3, "...");
		cr_assert_null(strstr(value, "\xef\xbf\xbd"));
		cJSON_Delete(json);
	}
}

Test(log, the_longest_line_of_escapes_fits)
{
	static char huge[LOG_LINE_MAX];
	open_log(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	memset(huge, 1, sizeof huge - 1);
	LOG_INFO("%s", huge);
	close_log();
	cJSON *json = parse_line(text);
	cr_assert_eq(strlen(member(json, "msg")), LOG_LINE_MAX - 1);
	cJSON_Delete(json);
}

Test(log, quote_leaves_plain_text_and_escapes_the_rest)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{ "plain", "plain" },
		{ "10.0.0.1:22", "10.0.0.1:22" },
		{ "", "\"\"" },
		{ NULL, "-" },
		{ "two words", "\"two words\"" },
		{ "q\"b\\", "\"q\\\"b\\\\\"" },
		{ "\n\x1b", "\"\\x0a\\x1b\"" },
		{ "\xff", "\"\\xff\"" },
		{ "h\xc3\xa9", "h\xc3\xa9" },
		{ "12345", "\"12345\"" },
		{ "-1", "\"-1\"" },
		{ "007", "007" },
		{ "a=b", "a=b" },
	};
	char to[64];
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		cr_assert_str_eq(log_quote(cases[i].from, to, sizeof to), cases[i].to);
}

Test(log, quote_never_overruns_and_never_cuts_a_piece)
{
	const char *from = "a\"\\\n\xff\xc3\xa9\xe2\x82\xac z";
	for (size_t size = 0; size < 40; size++) {
		char *to = malloc(size > 0 ? size : 1);
		log_quote(from, to, size);
		size_t n = size > 0 ? strlen(to) : 0;
		cr_assert(size == 0 || n < size);
		cr_assert(n == 0 || (to[0] == '"' && to[n - 1] == '"'));
		cr_assert(n < 3 || to[n - 2] != '\\' || to[n - 3] == '\\');
		free(to);
	}
}

Test(log, names_parse)
{
	enum log_level level;
	enum log_format format;
	cr_assert(log_level_parse("error", &level) && level == LOG_LEVEL_ERROR);
	cr_assert(log_level_parse("debug", &level) && level == LOG_LEVEL_DEBUG);
	cr_assert_not(log_level_parse("Debug", &level));
	cr_assert(log_format_parse("json", &format) && format == LOG_FORMAT_JSON);
	cr_assert(log_format_parse("auto", &format) && format == LOG_FORMAT_AUTO);
	cr_assert_not(log_format_parse("", &format));
}

Test(log, important_lines_are_written_at_once_others_soon)
{
	open_log(LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
	struct stat st = { .st_size = 0 };
	uint64_t start = clock_ms();
	LOG_INFO("soon");
	while (st.st_size == 0 && clock_ms() < start + 2000)
		fstat(file, &st);
	cr_assert_gt(st.st_size, 0);
	LOG_ERROR("now");
	close_log();
	cr_assert_str_eq(text, "<6>soon\n<3>now\n");
}

Test(log, order_is_kept_and_nothing_is_lost_while_the_sink_keeps_up)
{
	uint64_t dropped = log_n_dropped();
	open_log(LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
	for (int i = 0; i < 20000; i++) {
		LOG_INFO("line n=%d", i);
		if (i % 1000 == 0)
			usleep(30000);
	}
	close_log();
	cr_assert_eq(log_n_dropped(), dropped);
	int expected = 0;
	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
		cr_assert_eq(atoi(strstr(line, "n=") + 2), expected++);
	cr_assert_eq(expected, 20000);
}

Test(log, a_blocked_sink_blocks_nobody_and_the_loss_is_told)
{
	int ends[2];
	cr_assert_eq(pipe(ends), 0);
	uint64_t dropped = log_n_dropped();
	cr_assert_eq(log_start(ends[1], LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL), 0);
	uint64_t start = clock_ms();
	for (int i = 0; i < 20000; i++)
		LOG_INFO("a line that is long enough to fill a pipe and a ring soon n=%d", i);
	cr_assert_lt(clock_ms() - start, 2000);
	uint64_t n = log_n_dropped() - dropped;
	cr_assert_gt(n, 1000);
	/* The reader comes back: it gets what was kept, and then the count. */
	size_t len = 0;
	struct pollfd p = { .fd = ends[0], .events = POLLIN };
	while (poll(&p, 1, 500) > 0 && len < sizeof text - 1) {
		ssize_t got = read(ends[0], text + len, sizeof text - 1 - len);
		cr_assert_gt(got, 0);
		len += (size_t)got;
		text[len] = '\0';
	}
	uint64_t n_told = 0;
	unsigned n_telling = 0;
	for (const char *at = text; (at = strstr(at, "<4>log dropped n=")) != NULL; n_telling++)
		n_told += (uint64_t)atoll(at += 17);
	cr_assert_eq(n_told, n);
	cr_assert_eq(n_lines(text) - n_telling, 20000 - n);
	log_stop();
}

Test(log, stop_gives_up_on_a_blocked_sink)
{
	int ends[2];
	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(log_start(ends[1], LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL), 0);
	for (int i = 0; i < 5000; i++)
		LOG_INFO("a line that is long enough to fill a pipe and a ring soon n=%d", i);
	uint64_t start = clock_ms();
	log_stop();
	uint64_t took = clock_ms() - start;
	cr_assert_geq(took, 500);
	cr_assert_lt(took, 1900);
	log_stop();
}

Test(log, a_closed_reader_does_not_kill)
{
	int ends[2];
	cr_assert_eq(pipe(ends), 0);
	close(ends[0]);
	uint64_t dropped = log_n_dropped();
	cr_assert_eq(log_start(ends[1], LOG_LEVEL_INFO, LOG_FORMAT_TEXT), 0);
	for (int i = 0; i < 10; i++) {
		LOG_ERROR("into the void");
		usleep(2000);
	}
	log_stop();
	cr_assert_geq(log_n_dropped() - dropped, 10);
	/* And without the writer, on standard error itself. */
	int saved = dup(2);
	dup2(ends[1], 2);
	LOG_ERROR("into the void");
	dup2(saved, 2);
	cr_assert_eq(log_n_dropped() - dropped >= 11, true);
}

Test(log, before_start_and_after_stop_lines_go_to_stderr)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600), saved = dup(2);
	dup2(fd, 2);
	LOG_NOTICE("early");
	dup2(saved, 2);
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	cr_assert_gt(n, 0);
	text[n] = '\0';
	cr_assert_str_eq(text + 25, "notice early\n");
}

static unsigned n_tries;

static void try_limited(void)
{
	n_tries++;
	LOG_LIMITED(LOG_LEVEL_WARNING, "again n=%u", n_tries);
}

Test(log, limited_lines_stop_after_the_burst)
{
	open_log(LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
	for (int i = 0; i < 500; i++)
		try_limited();
	close_log();
	cr_assert_eq(n_lines(text), LOG_BURST);
}

Test(log, the_number_left_out_is_told_with_the_next_window)
{
	struct log_limit limit = { 0 };
	unsigned n = 0;
	for (int i = 0; i < 100; i++)
		n += log_limit_take(&limit);
	cr_assert_eq(n, LOG_BURST);
	limit.window -= (uint64_t)10001 << 8; /* 10 s pass */
	open_log(LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
	cr_assert(log_limit_take(&limit));
	log_limit_tell(&limit, LOG_LEVEL_INFO, "test");
	log_limit_tell(&limit, LOG_LEVEL_INFO, "test");
	close_log();
	cr_assert_str_eq(text, "<6>more lines like the next were left out n=90\n");
}
