package kratos.ci;

import com.alibaba.nacos.core.code.ControllerMethodsCache;
import javax.annotation.PostConstruct;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.web.servlet.ServletComponentScan;
import org.springframework.scheduling.annotation.EnableScheduling;

/** A Nacos without its console: the module with its main class is not published. */
@SpringBootApplication(scanBasePackages = {"com.alibaba.nacos", "kratos.ci"})
@ServletComponentScan("com.alibaba.nacos")
@EnableScheduling
public class NacosServer {
    private final ControllerMethodsCache methods;

    public NacosServer(ControllerMethodsCache methods) {
        this.methods = methods;
    }

    /** Its filters look calls up here, and answer 501 to those that nobody entered. */
    @PostConstruct
    void enterControllers() {
        methods.initClassMethod("com.alibaba.nacos.core.controller");
        methods.initClassMethod("com.alibaba.nacos.naming.controllers");
        methods.initClassMethod("com.alibaba.nacos.config.server.controller");
    }

    public static void main(String[] arguments) {
        SpringApplication.run(NacosServer.class, arguments);
    }
}
