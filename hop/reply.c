#include "hop/reply.h"

#include <assert.h>
#include <stdlib.h>

#define SOFTWARE "hopchain " HOPCHAIN_VERSION

static_assert(sizeof SOFTWARE <= WIRE_SOFTWARE_MAX + 1, "what S can say");

void hop_reply_name(struct wire_response *response, uint16_t wanted)
{
	if ((wanted & WIRE_TRACE) && response->status != STATUS_VERSION)
		memcpy(response->software, SOFTWARE, sizeof SOFTWARE);
}

void hop_reply_status(const struct dial_result *result, uint8_t *ret_status, uint8_t *ret_detail)
{
	static const struct {
		int error;
		uint8_t status, detail;
	} rows[] = {
		{ ERR_NOT_FOUND, STATUS_RESOLVE_FAIL, DETAIL_RESOLVE_NO_NAME },
		{ ERR_NO_ADDRESS, STATUS_RESOLVE_FAIL, DETAIL_RESOLVE_NO_ADDRESS },
		{ ERR_DNS_TEMPORARY, STATUS_RESOLVE_TEMP, DETAIL_RESOLVE_AGAIN },
		{ ERR_DNS_SERVER, STATUS_RESOLVE_TEMP, DETAIL_RESOLVE_SERVER },
		{ ERR_DNS_TIMEOUT, STATUS_RESOLVE_TIMEOUT, DETAIL_RESOLVE_TIMEOUT },
		{ -ECONNREFUSED, STATUS_REFUSED, 0 },
		{ -ENETUNREACH, STATUS_NET_UNREACH, 0 },
		{ -ENETDOWN, STATUS_NET_UNREACH, 0 },
		{ -EHOSTUNREACH, STATUS_HOST_UNREACH, 0 },
		{ -EHOSTDOWN, STATUS_HOST_UNREACH, 0 },
		{ -ETIMEDOUT, STATUS_TIMEOUT, 0 },
		{ -ECONNRESET, STATUS_RESET, 0 },
		{ -EPIPE, STATUS_RESET, 0 },
		{ -EAFNOSUPPORT, STATUS_NO_FAMILY, 0 },
		{ -EMFILE, STATUS_LOCAL, DETAIL_LOCAL_DESCRIPTORS },
		{ -ENFILE, STATUS_LOCAL, DETAIL_LOCAL_DESCRIPTORS },
		{ -EADDRNOTAVAIL, STATUS_LOCAL, DETAIL_LOCAL_ADDRESSES },
		{ -ENOBUFS, STATUS_LOCAL, DETAIL_LOCAL_MEMORY },
		{ -ENOMEM, STATUS_LOCAL, DETAIL_LOCAL_MEMORY },
		{ -EACCES, STATUS_LOCAL, DETAIL_LOCAL_PERMISSION },
		{ -EPERM, STATUS_LOCAL, DETAIL_LOCAL_PERMISSION },
	};
	*ret_status = STATUS_LOCAL;
	*ret_detail = DETAIL_LOCAL_OTHER;
	if (result->error == ERR_TIMEOUT && result->is_resolving) {
		*ret_status = STATUS_RESOLVE_TIMEOUT;
		*ret_detail = DETAIL_RESOLVE_TIMEOUT;
		return;
	}
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (rows[i].error == result->error) {
			*ret_status = rows[i].status;
			*ret_detail = rows[i].detail;
			return;
		}
	}
}

int hop_reply_seal(struct hop_reply *reply, const struct hop_header *header, const uint8_t *public,
	uint64_t wall_ms)
{
	struct wire_response *s = &reply->response;
	uint8_t nonce[SEAL_NONCE];
	uint16_t wanted = header->request != NULL ? header->request->flags : 0;
	s->val = s->status == STATUS_VERSION ? 0 : wall_ms;
	if (s->status == STATUS_OK) {
		s->flags |= wanted & WIRE_E2E ? WIRE_S_E2E : 0;
		s->flags |= wanted & WIRE_FS ? WIRE_S_FS : 0;
		s->flags |= wanted & WIRE_KEEP ? WIRE_S_KEEP : 0;
		s->cipher = wanted & WIRE_E2E ? header->cipher : 0;
		if (wanted & WIRE_FS)
			memcpy(s->eph, public, sizeof s->eph);
	}
	hop_reply_name(s, wanted);
	seal_random(nonce, sizeof nonce);
	int n = wire_response_encode(s, header->r, header->entry->key->key, nonce, reply->bytes);
	if (n < 0)
		return n;
	reply->len = (size_t)n;
	return 0;
}

void hop_reply_secrets(const struct hop_reply *reply, const struct hop_header *header,
	const uint8_t ss[32], struct wire_secrets *ret)
{
	uint8_t r[WIRE_REQUEST_MAX];
	size_t n_ext = header->ext_len == 0 ? 0 : WIRE_EXT_SEALED((size_t)header->ext_len);
	memcpy(r, header->r, WIRE_REQUEST);
	if (n_ext > 0)
		memcpy(r + WIRE_REQUEST, header->sealed, n_ext);
	wire_secrets_derive(header->entry->key->key, ss, bytes_of(r, WIRE_REQUEST + n_ext),
		bytes_of(reply->bytes, reply->len), ret);
}
