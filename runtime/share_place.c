/*
 * Where a node was seen last: the node of its directory, and its name there. Of
 * several names any serves. Each lookup tells, and each rename and removal that the
 * guest asks for; what the host moves is where it was until a lookup finds it.
 *
 * The guest and the host may move directories in ways that make of old places a
 * ring: none is ever stored, so that every way up ends.
 */
#include "share_internal.h"

#include <string.h>

void share_place_clear(struct share_node *node, struct share_node **dead)
{
	struct share_node *parent = node->parent;

	if (!parent)
		return;
	node->parent = NULL;
	free(steal_pointer(&node->name));
	parent->children--;
	share_node_retire(parent, dead);
}

/* Of what lies between directory and node above it, the uppermost loses its place. */
static bool cut_ring(const struct share_node *node, struct share_node *directory,
		     struct share_node **dead)
{
	struct share_node *p = directory;

	if (p == node)
		return false;
	for (unsigned int depth = 0; p && depth < SHARE_DEPTH_MAX; depth++) {
		if (p->parent == node) {
			share_place_clear(p, dead);
			return true;
		}
		p = p->parent;
	}
	return !p;
}

static bool is_at(const struct share_node *node, const struct share_node *parent, const char *name)
{
	return node->parent == parent && node->name && strcmp(node->name, name) == 0;
}

void share_place_set(struct share_node *node, struct share_node *parent, const char *name,
		     struct share_node **dead)
{
	char *copy;

	if (is_at(node, parent, name) || node->id == SHARE_ROOT_ID)
		return;
	copy = strdup(name);
	/* without memory, or in a tree without end, it has the place that it had */
	if (!copy || (node->children > 0 && !cut_ring(node, parent, dead))) {
		free(copy);
		return;
	}
	parent->children++;
	share_place_clear(node, dead);
	node->parent = parent;
	node->name = copy;
	if (node->held) {
		node->held = false;
		share_fd_unhold(node->share);
		if (node->users == 0)
			share_idle_in(node);
	}
}

void share_place_moved(struct share_node *node, struct share_node *parent, const char *name)
{
	struct share *share = node->share;
	struct share_node *dead = NULL;

	pthread_mutex_lock(&share->lock);
	share_place_set(node, parent, name, &dead);
	pthread_mutex_unlock(&share->lock);
	share_nodes_bury(share, dead);
}

void share_place_removed(struct share_node *node, struct share_node *parent, const char *name)
{
	struct share *share = node->share;
	struct share_node *dead = NULL;
	bool may_hold = share_fd_hold(share);

	pthread_mutex_lock(&share->lock);
	if (parent ? is_at(node, parent, name) : !node->parent) {
		share_place_clear(node, &dead);
		if (may_hold && !node->held) {
			node->held = true;
			may_hold = false;
		}
	}
	pthread_mutex_unlock(&share->lock);
	if (may_hold)
		share_fd_unhold(share);
	share_nodes_bury(share, dead);
}
