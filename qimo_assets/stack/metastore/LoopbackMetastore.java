import java.lang.reflect.Constructor;
import org.apache.hadoop.hive.common.auth.HiveAuthUtils;
import org.apache.hadoop.hive.conf.HiveConf;
import org.apache.hadoop.hive.metastore.HiveMetaStore;
import org.apache.hadoop.hive.metastore.IHMSHandler;
import org.apache.hadoop.hive.metastore.TServerSocketKeepAlive;
import org.apache.hadoop.hive.metastore.TUGIBasedProcessor;
import org.apache.hadoop.hive.thrift.TUGIContainingTransport;
import org.apache.thrift.protocol.TBinaryProtocol;
import org.apache.thrift.server.TServerEventHandler;
import org.apache.thrift.server.TThreadPoolServer;

/**
 * Hive's metastore, listening on one address: HiveMetaStore 2.3 has no setting for it and binds all of them.
 *
 * <p>The same server as HiveMetaStore.startMetaStore makes without TLS and Kerberos, with an address for its socket. Janino, which Spark
 * brings, compiles it at the start: `java org.codehaus.janino.SimpleCompiler LoopbackMetastore.java LoopbackMetastore HOST PORT`.
 */
public class LoopbackMetastore {
    private static final int LEAST_THREADS = 4;
    private static final int MOST_THREADS = 1000;

    public static void main(String[] arguments) throws Exception {
        HiveConf conf = new HiveConf(HiveMetaStore.HMSHandler.class);
        IHMSHandler base = new HiveMetaStore.HMSHandler("metastore", conf, false);
        IHMSHandler handler = HiveMetaStore.newRetryingHMSHandler(base, conf);
        int port = Integer.parseInt(arguments[1]);
        TThreadPoolServer.Args options = new TThreadPoolServer.Args(new TServerSocketKeepAlive(HiveAuthUtils.getServerSocket(arguments[0], port)));
        options.processor(new TUGIBasedProcessor(handler));
        options.transportFactory(new TUGIContainingTransport.Factory());
        options.protocolFactory(new TBinaryProtocol.Factory());
        options.minWorkerThreads(LEAST_THREADS);
        options.maxWorkerThreads(MOST_THREADS);
        TThreadPoolServer server = new TThreadPoolServer(options);
        server.setServerEventHandler(closingHandler());
        server.serve();
    }

    /** Hive's own handler, which closes a connection's database session with the connection; it has no name. */
    private static TServerEventHandler closingHandler() throws Exception {
        Constructor made = Class.forName("org.apache.hadoop.hive.metastore.HiveMetaStore$3").getDeclaredConstructor(new Class[0]);
        made.setAccessible(true);
        return (TServerEventHandler) made.newInstance(new Object[0]);
    }
}
