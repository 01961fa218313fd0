#include "access/domain_set.h"

#include "common/addr.h"
#include "common/seal.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SLOTS 16
#define HEAD        2 /* bytes before the letters of an entry: what it means, how many letters */
#define ENTRY_MAX   (HEAD + ADDR_NAME_MAX)

/* What an entry means; both may be. */
enum {
	ITSELF = 1,
	BELOW = 2,
};

struct domain_set {
	uint8_t *text;   /* the entries, one behind the other; owned */
	uint32_t *slots; /* 1 + where an entry begins, 0 = free; at most 3/4 are taken; owned */
	size_t len, room, n_slots, n;
	uint8_t key[16]; /* of the hash: a list may be somebody else's */
};

struct domain_set *domain_set_new(void)
{
	struct domain_set *set = calloc(1, sizeof *set);
	if (set == NULL)
		return NULL;
	set->n_slots = FIRST_SLOTS;
	set->slots = calloc(set->n_slots, sizeof *set->slots);
	set->text = malloc(ENTRY_MAX);
	set->room = ENTRY_MAX;
	if (set->slots == NULL || set->text == NULL) {
		domain_set_free(set);
		return NULL;
	}
	seal_random(set->key, sizeof set->key);
	return set;
}

void domain_set_free(struct domain_set *set)
{
	if (set == NULL)
		return;
	free(set->text);
	free(set->slots);
	free(set);
}

static struct bytes name_at(const struct domain_set *set, uint32_t slot)
{
	const uint8_t *entry = set->text + slot - 1;
	return bytes_of(entry + HEAD, entry[1]);
}

/* The slot of @name, or the free one where it would be. */
static size_t find(const struct domain_set *set, struct bytes name)
{
	size_t mask = set->n_slots - 1, i = (size_t)seal_siphash(set->key, name) & mask;
	for (; set->slots[i] != 0; i = (i + 1) & mask) {
		struct bytes other = name_at(set, set->slots[i]);
		if (other.len == name.len && memcmp(other.ptr, name.ptr, name.len) == 0)
			break;
	}
	return i;
}

static int grow_slots(struct domain_set *set)
{
	size_t n_before = set->n_slots;
	uint32_t *before = set->slots;
	if ((set->n + 1) * 4 <= n_before * 3)
		return 0;
	uint32_t *slots = calloc(2 * n_before, sizeof *slots);
	if (slots == NULL)
		return ERR_NOMEM;
	set->slots = slots;
	set->n_slots = 2 * n_before;
	for (size_t i = 0; i < n_before; i++) {
		if (before[i] != 0)
			slots[find(set, name_at(set, before[i]))] = before[i];
	}
	free(before);
	return 0;
}

static int grow_text(struct domain_set *set)
{
	if (set->room - set->len >= ENTRY_MAX)
		return 0;
	size_t room = 2 * set->room;
	uint8_t *text = realloc(set->text, room);
	if (text == NULL)
		return ERR_NOMEM;
	set->text = text;
	set->room = room;
	return 0;
}

static int insert(struct domain_set *set, struct bytes name, uint8_t meaning)
{
	size_t i = find(set, name);
	if (set->slots[i] != 0) {
		set->text[set->slots[i] - 1] |= meaning;
		return 0;
	}
	if (set->n == DOMAIN_SET_MAX)
		return -ENOSPC;
	if (grow_slots(set) != 0 || grow_text(set) != 0)
		return ERR_NOMEM;
	uint8_t *entry = set->text + set->len;
	entry[0] = meaning;
	entry[1] = (uint8_t)name.len;
	memcpy(entry + HEAD, name.ptr, name.len);
	set->slots[find(set, name)] = (uint32_t)set->len + 1;
	set->len += HEAD + name.len;
	set->n++;
	return 0;
}

static void fold(const uint8_t *from, size_t len, uint8_t *to)
{
	for (size_t i = 0; i < len; i++)
		to[i] = from[i] >= 'A' && from[i] <= 'Z' ? from[i] | 0x20 : from[i];
}

int domain_set_add(struct domain_set *set, struct bytes text)
{
	uint8_t name[ADDR_NAME_MAX], meaning = ITSELF;
	if (text.len > 2 && memcmp(text.ptr, "*.", 2) == 0) {
		meaning = BELOW;
		text = bytes_of(text.ptr + 2, text.len - 2);
	} else if (text.len > 1 && text.ptr[0] == '.') {
		meaning = ITSELF | BELOW;
		text = bytes_of(text.ptr + 1, text.len - 1);
	}
	if (text.len > 0 && text.ptr[text.len - 1] == '.')
		text.len--;
	if (!addr_name_is_valid(text))
		return ERR_INVAL;
	fold(text.ptr, text.len, name);
	return insert(set, bytes_of(name, text.len), meaning);
}

void domain_set_trim(struct domain_set *set)
{
	size_t room = set->len > 0 ? set->len : 1;
	uint8_t *text = realloc(set->text, room);
	if (text == NULL)
		return;
	set->text = text;
	set->room = room;
}

static bool means(const struct domain_set *set, struct bytes name, uint8_t meaning)
{
	uint32_t slot = set->slots[find(set, name)];
	return slot != 0 && (set->text[slot - 1] & meaning) != 0;
}

bool domain_set_has(const struct domain_set *set, const char *name)
{
	uint8_t folded[ADDR_NAME_MAX];
	size_t len = strnlen(name, ADDR_NAME_MAX + 1);
	if (len == 0 || len > ADDR_NAME_MAX)
		return false;
	fold((const uint8_t *)name, len, folded);
	if (means(set, bytes_of(folded, len), ITSELF))
		return true;
	for (size_t i = 1; i < len; i++) {
		if (folded[i - 1] == '.' && means(set, bytes_of(folded + i, len - i), BELOW))
			return true;
	}
	return false;
}

size_t domain_set_count(const struct domain_set *set)
{
	return set->n;
}

size_t domain_set_size(const struct domain_set *set)
{
	return sizeof *set + set->room + set->n_slots * sizeof *set->slots;
}
