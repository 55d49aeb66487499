/* SPDX-License-Identifier: Apache-2.0 */
/* The far end of SynIC connections, for test kernels; see hyperv_testdev.h. */
#include "hv/hyperv_testdev.h"

#include "hv/partition.h"
#include "hv/vp.h"

enum command {
	ROUTE_CREATE = 1,
	ROUTE_DESTROY,
	SINT_RAISE,
	MESSAGE_CREATE,
	MESSAGE_DESTROY,
	EVENT_CREATE,
	EVENT_DESTROY,
};

static void change(struct partition *p, u8 command, u8 connection, u8 vp, u8 sint)
{
	struct hyperv_testdev *dev = p->hyperv_test;
	const struct hyperv_testdev_end made = { .on = true, .vp = vp, .sint = sint };

	pthread_mutex_lock(&p->chipset.lock);
	switch (command) {
	case MESSAGE_CREATE:
		dev->message[connection] = made;
		break;
	case MESSAGE_DESTROY:
		dev->message[connection].on = false;
		break;
	case EVENT_CREATE:
		dev->event[connection] = made;
		break;
	case EVENT_DESTROY:
		dev->event[connection].on = false;
		break;
	}
	pthread_mutex_unlock(&p->chipset.lock);
}

/* The far end of a connection; false: it has none. */
static bool find(struct partition *p, const struct hyperv_testdev_end *ends,
		 u32 connection, struct hyperv_testdev_end *ret_end)
{
	if (connection >= HYPERV_TESTDEV_CONNECTIONS)
		return false;
	pthread_mutex_lock(&p->chipset.lock);
	*ret_end = ends[connection];
	pthread_mutex_unlock(&p->chipset.lock);
	return ret_end->on;
}

void hyperv_testdev_write(struct partition *p, u32 value)
{
	u8 command = (u8)(value >> 16), vp = (u8)(value >> 8), sint = (u8)value;

	if (vp >= p->config.vp_count || sint >= HV_SINTS)
		return;
	if (command == SINT_RAISE)
		synic_raise(&p->vp[vp]->synic, sint);
	else
		change(p, command, (u8)(value >> 24), vp, sint);
}

void hyperv_testdev_reset(struct partition *p)
{
	pthread_mutex_lock(&p->chipset.lock);
	memset(p->hyperv_test, 0, sizeof *p->hyperv_test);
	pthread_mutex_unlock(&p->chipset.lock);
}

bool hyperv_testdev_message(struct partition *p, u32 connection, u32 type,
			    const void *payload, u32 size, enum hv_status *ret_status)
{
	struct hyperv_testdev_end end;

	if (!find(p, p->hyperv_test->message, connection, &end))
		return false;
	*ret_status = synic_post(&p->vp[end.vp]->synic, end.sint, type, connection,
				 payload, size, true) < 0
			      ? HV_NO_BUFFERS
			      : HV_SUCCESS;
	return true;
}

bool hyperv_testdev_event(struct partition *p, u32 connection, enum hv_status *ret_status)
{
	struct hyperv_testdev_end end;

	if (!find(p, p->hyperv_test->event, connection, &end))
		return false;
	*ret_status = synic_signal(&p->vp[end.vp]->synic, end.sint, connection);
	return true;
}
