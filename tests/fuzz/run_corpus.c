/*
 * Feeds a fuzz target without libFuzzer: every file of the directories and files given, whole, cut
 * at each of its first bytes, and with each of its first bits flipped. Ends with an error if there
 * was no file.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_CUTS  512 /* prefixes of one file */
#define N_FLIPS 256 /* bytes of one file whose bits are flipped */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

static size_t n_files, n_inputs;

/* Each input has its own allocation of exactly its size, so that the sanitizer sees a read past its
 * end. */
static void feed(const uint8_t *data, size_t size, size_t i_flip, unsigned flip)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	if (size > 0)
		memcpy(copy, data, size);
	if (flip != 0)
		copy[i_flip] = (uint8_t)(copy[i_flip] ^ flip);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	n_inputs++;
}

static int run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data = NULL;
	long size = -1;

	if (file && fseek(file, 0, SEEK_END) == 0)
		size = ftell(file);
	if (size >= 0)
		data = malloc((size_t)size + 1);
	if (!data || fseek(file, 0, SEEK_SET) != 0 ||
		fread(data, 1, (size_t)size, file) != (size_t)size) {
		fprintf(stderr, "run_corpus: %s: %s\n", path, strerror(errno));
		if (file)
			fclose(file);
		free(data);
		return -1;
	}
	fclose(file);
	n_files++;
	feed(data, (size_t)size, 0, 0);
	for (size_t cut = 0; cut < (size_t)size && cut < N_CUTS; cut++)
		feed(data, cut, 0, 0);
	for (size_t i = 0; i < (size_t)size && i < N_FLIPS; i++)
		for (unsigned bit = 1; bit < 0x100; bit <<= 1)
			feed(data, (size_t)size, i, bit);
	free(data);
	return 0;
}

static int run_directory(const char *path, DIR *directory)
{
	int result = 0;

	for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
		char name[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
		if (run_file(name) < 0)
			result = -1;
	}
	closedir(directory);
	return result;
}

int main(int argc, char **argv)
{
	int result = 0;

	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++) {
		DIR *directory = opendir(argv[i]);

		if ((directory ? run_directory(argv[i], directory) : run_file(argv[i])) < 0)
			result = 1;
	}
	printf("%zu files, %zu inputs\n", n_files, n_inputs);
	if (n_files == 0) {
		fprintf(stderr, "run_corpus: no input file\n");
		result = 1;
	}
	return result;
}
