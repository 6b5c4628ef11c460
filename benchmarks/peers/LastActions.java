import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The job on Kafka Streams: decode, keep the user's last 50 actions in a store with a changelog,
 * write one output.
 *
 * <p>Arguments: BOOTSTRAP SOURCE OUTPUT GROUP STATE_DIR, and settings of Kafka Streams as
 * NAME=VALUE.
 */
public final class LastActions {
    private static final int ACTIONS_KEPT = 50;
    private static final String STORE = "actions";

    public static void main(String[] arguments) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[3]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[4]);
        for (int at = 5; at < arguments.length; at++) {
            String[] pair = arguments[at].split("=", 2);
            settings.put(pair[0], pair[1]);
        }
        KafkaStreams streams = new KafkaStreams(topology(arguments[1], arguments[2]), settings);
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
    }

    /** Keys and values stay bytes all the way: nothing is decoded that the job does not read. */
    private static Topology topology(String source, String output) {
        Serde<byte[]> bytes = Serdes.ByteArray();
        Topology topology = new Topology();
        topology.addSource("events", bytes.deserializer(), bytes.deserializer(), source);
        topology.addProcessor("append", Append::new, "events");
        topology.addStateStore(
            Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(STORE), bytes, bytes)
                .withLoggingEnabled(Map.of())
                .withCachingEnabled(),
            "append");
        topology.addSink("scores", output, bytes.serializer(), bytes.serializer(), "append");
        return topology;
    }

    /**
     * Appends each event to its user's actions.
     *
     * <p>A state is one byte with the number of actions, then the actions, oldest first: the time
     * in eight bytes, then item and action, each after one byte with its length.
     */
    private static final class Append implements Processor<byte[], byte[], byte[], byte[]> {
        private final JsonFactory json = new JsonFactory();
        private ProcessorContext<byte[], byte[]> context;
        private KeyValueStore<byte[], byte[]> store;
        private String item;
        private String action;
        private long time;

        @Override
        public void init(ProcessorContext<byte[], byte[]> given) {
            context = given;
            store = given.getStateStore(STORE);
        }

        @Override
        public void process(Record<byte[], byte[]> event) {
            read(event.value());
            byte[] state = appended(store.get(event.key()));
            store.put(event.key(), state);
            context.forward(event.withValue(score(event.key(), state[0])));
        }

        private void read(byte[] value) {
            try (JsonParser parser = json.createParser(value)) {
                parser.nextToken();
                while (parser.nextToken() == JsonToken.FIELD_NAME) {
                    String field = parser.currentName();
                    parser.nextToken();
                    switch (field) {
                        case "item_id" -> item = parser.getText();
                        case "action" -> action = parser.getText();
                        case "ts" -> time = parser.getLongValue();
                        default -> parser.skipChildren();
                    }
                }
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        }

        private byte[] appended(byte[] state) {
            byte[] itemBytes = item.getBytes(StandardCharsets.UTF_8);
            byte[] actionBytes = action.getBytes(StandardCharsets.UTF_8);
            int count = state == null ? 0 : state[0];
            int start = 1;
            if (count == ACTIONS_KEPT) {
                start += Long.BYTES;
                start += 1 + state[start];
                start += 1 + state[start];
                count--;
            }
            int kept = state == null ? 0 : state.length - start;
            int added = Long.BYTES + 2 + itemBytes.length + actionBytes.length;
            ByteBuffer next = ByteBuffer.allocate(1 + kept + added).put((byte) (count + 1));
            if (kept > 0) {
                next.put(state, start, kept);
            }
            next.putLong(time);
            next.put((byte) itemBytes.length).put(itemBytes);
            next.put((byte) actionBytes.length).put(actionBytes);
            return next.array();
        }

        private byte[] score(byte[] key, int count) {
            String user = new String(key, StandardCharsets.UTF_8);
            String text =
                "{\"user_id\":\"" + user + "\",\"ts\":" + time + ",\"n_events\":" + count
                    + ",\"items\":[]}";
            return text.getBytes(StandardCharsets.UTF_8);
        }
    }

    private LastActions() {}
}
