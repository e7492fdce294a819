/* limits.h - every maximum of pactfs, in one place.
 *
 * Each has its unit in its name. All input (wire, disk, command line, mount) is checked against these;
 * whatever exceeds one is refused with an error of errors.h and changes nothing. */
#ifndef PACT_LIMITS_H
#define PACT_LIMITS_H

#define KIB 1024u
#define MIB (1024u * 1024u)

/* The tree. */
#define LIMIT_NAME_BYTES        255u       /* one path component, after its sequence number is filled in */
#define LIMIT_PATH_BYTES        4096u      /* a path of a request */
#define LIMIT_DEPTH             4096u      /* components between a znode and the root */
#define LIMIT_DATA_BYTES        (1u * MIB) /* a znode's data */
#define LIMIT_BLOCK_BYTES       4096u      /* data is kept and hashed in blocks of this size */
#define LIMIT_XATTR_NAME_BYTES  255u       /* including the prefix "user." */
#define LIMIT_XATTR_VALUE_BYTES (64u * KIB)
#define LIMIT_XATTRS_BYTES      (64u * KIB)        /* names and values of one znode together */
#define LIMIT_POLICY_BYTES      256u               /* a directory's children policy */
#define LIMIT_NODE_ID           ((1ull << 53) - 1) /* ids are exact in an IEEE double (JavaScript's numbers) */
#define LIMIT_TTL_MS            (10ull * 365 * 24 * 3600 * 1000)
#define SEQUENCE_DIGITS         10u
#define LIMIT_SEQUENCE          9999999999ull /* ten digits; the next sequential create is refused */

/* Requests and entries. */
#define LIMIT_ENTRY_BYTES    (1u * MIB + 64u * KIB)     /* an encoded log entry, a multi included */
#define LIMIT_REQUEST_BYTES  (LIMIT_ENTRY_BYTES - 128u) /* an encoded request: an entry has a few fields around it */
#define LIMIT_TXN_TEXT_BYTES (8u * MIB) /* the operations of one as lines of text: a byte takes up to four */
#define LIMIT_CONFIG_BYTES   (1u * MIB)
#define LIMIT_MULTI_OPS      1024u
#define LIMIT_EDITS          1024u /* extents and truncations of one write, or of all writes of one multi */
#define LIMIT_SESSIONS       65536u
#define LIMIT_RESULTS        256u /* results a session may still be waiting for */
#define LIMIT_IN_FLIGHT      256u /* unanswered requests of one session */
#define LIMIT_HOST_BYTES     64u
#define LIMIT_COMMAND_BYTES  64u    /* the command that asked for a lock, for people */
#define LIMIT_SESSION_LOCKS  16384u /* locks held and waited for, of one session */
#define LIMIT_NODE_LOCKS     4096u  /* the same, of one znode */

/* The client. */
#define LIMIT_IN_FLIGHT_BYTES (4u * MIB)  /* of requests sent and not answered: well within a link's queue */
#define LIMIT_UNSENT          4096u       /* requests that wait to be sent */
#define LIMIT_UNSENT_BYTES    (64u * MIB) /* of them */
#define LIMIT_SYNCS           1024u       /* syncs not answered */

/* Sessions. */
#define LIMIT_SESSION_TIMEOUT_MIN_MS 1000u
#define LIMIT_SESSION_TIMEOUT_MAX_MS 300000u
#define DEFAULT_SESSION_TIMEOUT_MS   10000u
#define DEFAULT_OP_TIMEOUT_MS        10000u
#define NO_LEADER_GRACE_MS           2000u /* without a leader this long, new modifying calls get EROFS */

/* Frames and messages on a link. */
#define LIMIT_MESSAGE_BYTES       (LIMIT_ENTRY_BYTES + 64u * KIB) /* one message, before sealing */
#define LIMIT_FRAME_BYTES         (16u * KIB + 48u) /* header, 16 KiB and tag; larger messages go in pieces */
#define LIMIT_CREDIT_MESSAGES     64u               /* unacknowledged pieces of messages towards a mount */
#define LIMIT_CREDIT_BYTES        (64u * KIB)       /* unacknowledged bytes towards a mount */
#define LIMIT_CHUNK_BYTES         (256u * KIB)      /* a chunk of a snapshot on the wire */
#define LIMIT_MESSAGE_ENTRIES     8192u             /* entries in one message */
#define LIMIT_MEMBERS             64u               /* members a status lists */
#define LIMIT_TEXT_BYTES          1024u             /* a text for people: why refused, a role, an address */
#define LIMIT_LINK_QUEUE_BYTES    (16u * MIB)       /* waiting for credit; overflow resets the link */
#define LIMIT_LINK_QUEUE_MESSAGES 16384u
#define LIMIT_LINKS               1024u              /* mounts connected to one replica */
#define LIMIT_SERVERS             16u                /* addresses in a mount's server list */
#define LIMIT_ARENA_BYTES         (4u * MIB)         /* memory one unpacked message may take */
#define LIMIT_URGENT_BYTES        KIB                /* a message outside the credit of others: heartbeats */
#define LINK_LOW_BYTES            LIMIT_CREDIT_BYTES /* a link with less than this queued can be fed */
#define LINK_ACK_MS               20u                /* what was received is acknowledged at the latest after this */
#define LINK_PING_MS              500u               /* a quiet link is pinged this often */
#define LINK_SILENCE_MS           3000u              /* a link that has been silent this long is down */
#define LINK_HANDSHAKE_MS         1000u              /* a handshake not finished by then is begun again */

/* The replica. */
#define LIMIT_RECENT_BYTES     (64u * MIB) /* entries kept in memory for mounts that lag */
#define LIMIT_SNAPSHOT_CURSORS 8u          /* snapshots being taken at once, the disk's included */
#define LIMIT_BATCH_BYTES      (4u * MIB)  /* entries under one fdatasync */

/* The ensemble. */
#define LIMIT_REPLICAS       7u
#define LIMIT_REPLICA_ID     255u
#define LIMIT_ENSEMBLE_BYTES (4u * KIB) /* the list of members as text */
#define LIMIT_HEARTBEATS     4096u      /* sessions in one message between replicas */
#define ZAB_PING_MS          30u        /* the leader pings this often */
#define ZAB_SILENCE_MS       150u       /* of own running time, until a silent peer counts as down */
#define ZAB_PATIENCE         4u         /* … times as long where such a silence was found to mean nothing */
#define ZAB_VOTE_MS          20u   /* an election waits this long for better votes, unless all reachable have voted */
#define ZAB_PHASE_MS         1000u /* discovery and synchronisation without progress are given up after this */

/* The log. */
#define LOG_SEGMENT_BYTES          (8u * MIB)
#define LOG_SECTOR_BYTES           512u
#define LOG_SNAPSHOT_EVERY_BYTES   (256u * MIB) /* log written since the last snapshot that calls for a new one */
#define LOG_SNAPSHOT_EVERY_ENTRIES 100000u
#define LOG_SNAPSHOTS_KEPT         2u

/* The mount. */
#define LIMIT_HANDLES      65536u      /* open files and directories of one mount */
#define LIMIT_STAGED_BYTES (64u * MIB) /* staged and not yet committed, all handles together */
#define LIMIT_GHOSTS       65536u      /* pending changes to announce */
#define LIMIT_HOLDERS      16384u      /* processes that hold a lock, or own or made an ephemeral, of one mount */
#define LIMIT_KEPT_TABLES  16u         /* processes of which /proc is kept open */
#define LIMIT_KEPT_INFOS   16u         /* descriptors of each, the lowest ones */
#define UNBORN_WAIT_MS     100u        /* OPEN and GETATTR wait this long for a RELEASE under way */
#define TURN_WAIT_MS       1000u       /* and a RELEASE for those of what was closed before */

#endif
