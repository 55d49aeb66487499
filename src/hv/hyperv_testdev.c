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

	pthread_mutex_lock(&p->chipset.lock);
	switch (command) {
	case MESSAGE_CREATE:
		dev->connection[connection].message = true;
		dev->connection[connection].message_vp = vp;
		dev->connection[connection].message_sint = sint;
		break;
	case MESSAGE_DESTROY:
		dev->connection[connection].message = false;
		break;
	case EVENT_CREATE:
		dev->connection[connection].event = true;
		dev->connection[connection].event_vp = vp;
		dev->connection[connection].event_sint = sint;
		break;
	case EVENT_DESTROY:
		dev->connection[connection].event = false;
		break;
	}
	pthread_mutex_unlock(&p->chipset.lock);
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
	struct hyperv_testdev *dev = p->hyperv_test;
	bool ours;
	u8 vp, sint;

	if (connection >= HYPERV_TESTDEV_CONNECTIONS)
		return false;
	pthread_mutex_lock(&p->chipset.lock);
	ours = dev->connection[connection].message;
	vp = dev->connection[connection].message_vp;
	sint = dev->connection[connection].message_sint;
	pthread_mutex_unlock(&p->chipset.lock);
	if (ours)
		*ret_status = synic_post(&p->vp[vp]->synic, sint, type, connection,
					 payload, size, true) < 0
				      ? HV_NO_BUFFERS
				      : HV_SUCCESS;
	return ours;
}

bool hyperv_testdev_event(struct partition *p, u32 connection, enum hv_status *ret_status)
{
	struct hyperv_testdev *dev = p->hyperv_test;
	bool ours;
	u8 vp, sint;

	if (connection >= HYPERV_TESTDEV_CONNECTIONS)
		return false;
	pthread_mutex_lock(&p->chipset.lock);
	ours = dev->connection[connection].event;
	vp = dev->connection[connection].event_vp;
	sint = dev->connection[connection].event_sint;
	pthread_mutex_unlock(&p->chipset.lock);
	if (ours)
		*ret_status = synic_signal(&p->vp[vp]->synic, sint, connection);
	return ours;
}
