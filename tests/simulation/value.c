#include "tests/simulation/value.h"

#include <string.h>

size_t sim_value_write(int64_t value, uint8_t bytes[SIM_VALUE_BYTES_MAX])
{
    size_t size = sizeof(value) + (size_t)((uint64_t)value * 7 % 40);

    memcpy(bytes, &value, sizeof(value));
    for (size_t i = sizeof(value); i < size; i++)
        bytes[i] = (uint8_t)((uint64_t)value * 31 + i);
    return size;
}

bool sim_value_read(const uint8_t *bytes, size_t size, int64_t *value)
{
    uint8_t again[SIM_VALUE_BYTES_MAX];

    if (size < sizeof(*value)) return false;
    memcpy(value, bytes, sizeof(*value));
    return sim_value_write(*value, again) == size && memcmp(again, bytes, size) == 0;
}

void sim_value_encode(struct sim_cluster *c, const uint8_t *bytes, size_t size,
                      struct sim_shards *out)
{
    uint8_t scratch[2 * SIM_VALUE_BYTES_MAX];
    const void *data[SIM_SLOTS_MAX];
    void *parity[SIM_SLOTS_MAX];

    SHERD_ASSERT(sherd_ecc_scratch_size(c->config.k, size) <= sizeof(scratch));
    out->size = sherd_ecc_shard_size(c->config.k, size);
    sherd_ecc_split(c->config.k, bytes, size, scratch, data);
    for (uint8_t i = 0; i < c->config.k; i++)
        memcpy(out->bytes[i], data[i], out->size);
    for (uint8_t i = 0; i < c->config.m; i++)
        parity[i] = out->bytes[c->config.k + i];
    sherd_ecc_encode(c->config.ecc, out->size, data, parity);
    for (uint8_t i = 0; i < c->config.k + c->config.m; i++)
        out->crc[i] = sherd_crc32c(out->bytes[i], out->size);
}
